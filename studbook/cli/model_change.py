"""The commands under `studbook model` that change something."""

from enum import Enum
from typing import Annotated

import typer

from studbook.cli.options import AsJson, DryRun, Expect, Reason


class Part(Enum):
    """Which part of a number goes up by one."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"


VersionArgument = Annotated[
    str, typer.Argument(metavar="NAME@VERSION", help="E.g. wine-cultivar@1.2.0.")
]


def register_version(
    version: Annotated[
        str,
        typer.Argument(
            metavar="NAME@VERSION", help="E.g. wine-cultivar@1.2.0; with --next just the name."
        ),
    ],
    *,
    run: Annotated[
        str, typer.Option("--run", help="Run that made it: EXPERIMENT/RUN, id or resource name.")
    ],
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            help="File or folder among the run's artifacts; may be repeated. Default: model.",
        ),
    ] = None,
    next_part: Annotated[
        Part | None,
        typer.Option("--next", help="The next number after the highest release."),
    ] = None,
    description: Annotated[
        str, typer.Option(help="What is special about this version, for people.")
    ] = "",
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    parents: Annotated[
        list[str] | None,
        typer.Option(
            "--parent",
            metavar="NAME@VERSION|URI@sha256:DIGEST",
            help="What training began from; may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register files of a run as a version.

    Makes the model when it is the first, and waits until the server has verified every digest.
    """
    from studbook import model_registry
    from studbook.cli import model_calls, model_tables, output, run_calls
    from studbook.cli.references import version_to_register
    from studbook.client import Client

    reference = version_to_register(version, next_part.value if next_part else "")
    labels = model_calls.read_tags(tags or [])
    with Client() as client:
        # Before the model is made: a run that does not exist must leave no trace.
        source_run = run_calls.find_run(client, run).name
        registered = model_registry.register(
            source_run,
            reference.model_name(client.workspace),
            reference.version,
            paths or ["model"],
            description=description,
            tags=labels,
            parents=parents or [],
            client=client,
        )
    if as_json:
        output.print_json(registered)
    else:
        model_tables.print_registered(registered)


def promote_version(
    version: VersionArgument,
    *,
    stage: Annotated[
        str, typer.Option("--to", metavar="STAGE", help="production, staging, archived or none.")
    ],
    reason: Reason = "",
    expect: Expect = "",
    dry_run: DryRun = False,
    break_glass: Annotated[
        bool,
        typer.Option(
            "--break-glass",
            help="Pass the promotion policies by in an emergency; marked for ever.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Move a version to a stage.

    Into Production, it archives the version that is there in the same transaction.
    """
    from studbook import model_registry
    from studbook.cli import model_tables, output
    from studbook.cli.references import expected_production, numbered_version

    answer = model_registry.transition(
        numbered_version(version),
        stage,
        reason=reason,
        expected_production=expected_production(expect),
        validate_only=dry_run,
        break_glass=break_glass,
    )
    if as_json:
        output.print_json(answer)
    else:
        model_tables.print_moved(answer, stage, dry_run=dry_run)


def roll_back(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, e.g. wine-cultivar.")],
    *,
    to_version: Annotated[
        str,
        typer.Option("--to", metavar="VERSION", help="Default: the one before the present one."),
    ] = "",
    reason: Reason = "",
    expect: Expect = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put the former version back into Production."""
    from studbook import model_registry
    from studbook.cli import model_tables, output
    from studbook.cli.references import expected_production, version_number

    answer = model_registry.rollback(
        name,
        to_version=version_number(to_version) if to_version else "",
        reason=reason,
        expected_production=expected_production(expect),
        validate_only=dry_run,
    )
    if as_json:
        output.print_json(answer)
    else:
        model_tables.print_rolled_back(answer, dry_run=dry_run)
