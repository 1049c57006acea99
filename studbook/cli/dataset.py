"""`studbook dataset`: which data runs learned from, and the digest of data that lies here."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson, Filter, Limit, NamesOnly, OrderBy

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Find and read datasets, and compute digests.",
)


@app.command("ls")
def list_datasets(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Only versions of this dataset.")
    ] = "",
    *,
    filter_text: Filter = "",
    order_by: OrderBy = "",
    limit: Limit = 50,
    names_only: NamesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List dataset versions, newest first."""
    from studbook.cli import dataset_calls, dataset_tables, output
    from studbook.client import Client
    from studbook.tracking.v1.dataset_service_pb2 import ListDatasetsRequest

    with Client() as client:
        request = ListDatasetsRequest(
            parent=dataset_calls.dataset_name(name or "-", client.workspace),
            filter=filter_text,
            order_by=order_by,
        )
        datasets = dataset_calls.list_datasets(client, request, limit)
    if as_json:
        output.print_json(datasets)
    elif names_only:
        output.print_lines(dataset_calls.short_dataset(dataset.name) for dataset in datasets)
    else:
        dataset_tables.print_datasets(datasets)
        if len(datasets) == limit and output.for_people():
            output.note(f"The first {limit}; print more with --limit.")


@app.command("show")
def show_dataset(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]", help="Without a version the newest; or a resource name."
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a dataset version, and the runs that used it.

    Digest, columns with their profiles, and runs.
    """
    from studbook.cli import dataset_calls, dataset_tables, output
    from studbook.client import Client

    with Client() as client:
        found = dataset_calls.find_dataset(client, dataset)
        uses = [] if as_json else dataset_calls.list_uses(client, found.name)
    if as_json:
        output.print_json(found)
    else:
        dataset_tables.print_dataset(found, uses)


@app.command("lineage")
def show_descendants(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]|DIGEST",
            help="Without a version all of them; sha256:... finds the bytes under any name.",
        ),
    ],
    *,
    production: Annotated[
        bool, typer.Option("--production", help="Only what is or ever was in Production.")
    ] = False,
    limit: Limit = 1000,
    as_json: AsJson = False,
) -> None:
    """List every model version that learned from a dataset.

    With when it was in Production. Also what began from such a version: its children have learned
    from the data as well.
    """
    from studbook.cli import derivation_calls, derivation_table, output
    from studbook.client import Client

    with Client() as client:
        origin = derivation_calls.dataset_origin(client, dataset)
        found = derivation_calls.list_derived(client, origin, limit, production=production)
    if as_json:
        output.print_json(found)
    else:
        derivation_table.print_derived(found)
        if len(found) == limit and output.for_people():
            output.note(f"The first {limit}; print more with --limit.")


@app.command("digest")
def digest_data(
    path: Annotated[str, typer.Argument(metavar="PATH", help="File, folder or pattern.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print the digest that a run would record of data here.

    With form and size, and without a server.
    """
    from studbook.cli import output
    from studbook.datasets import describe_dataset

    use = describe_dataset(path, name="dataset", profile=False)
    if as_json:
        # The spelling of proto JSON, as everywhere.
        output.print_json(
            {"digest": use.digest, "format": use.format, "sizeBytes": str(use.size_bytes)}
        )
    else:
        output.print_lines([f"{use.digest}  {use.format}"])
