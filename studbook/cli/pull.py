"""`studbook pull`: bring a version's files here, verified."""

from pathlib import Path
from typing import Annotated

import typer

from studbook.cli.options import AsJson


def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@SELECTOR]",
            help="wine-cultivar@production, the default stage; or a number, an alias, a range.",
        ),
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Empty, new, or the target of a former pull.")
    ],
    *,
    report: Annotated[
        bool,
        typer.Option(help="Tell the server what was loaded here, under the host's name."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Fetch a version's files into a directory: all of them with the right digests, or none."""
    from studbook import model_registry
    from studbook.cli import model_tables, output

    with output.progress_bar(f"Fetching {name}") as moved:
        fetched = model_registry.fetch(name, directory, progress=moved, report=report)
    if as_json:
        output.print_json(
            {
                "version": output.json_value(fetched.version),
                "directory": str(fetched.path),
                "files": [str(file) for file in fetched.files],
                "reported": fetched.reported,
            }
        )
    else:
        model_tables.print_fetched(fetched.version, fetched.path)
