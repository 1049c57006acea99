"""`studbook run`: find, read, compare and remove training runs."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson, Filter, Limit, NamesOnly, OrderBy

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Find, read, compare and remove runs.",
)

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="EXPERIMENT/RUN, a run id, or a resource name.")
]


@app.command("ls")
def list_runs(
    experiment: Annotated[
        str, typer.Argument(metavar="[EXPERIMENT]", help="Only runs of this experiment.")
    ] = "",
    *,
    filter_text: Filter = "",
    order_by: OrderBy = "",
    limit: Limit = 50,
    columns: Annotated[
        str,
        typer.Option(
            metavar="FIELDS",
            help="Comma-separated: run, name, state, started, duration, creator, commit, "
            "params.KEY, tags.KEY, metrics.KEY[.last|min|max|mean|first|count].",
        ),
    ] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="Also list deleted runs.")] = False,
    names_only: NamesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from studbook.cli import output, run_calls, run_tables
    from studbook.cli.references import experiment_name, short_run
    from studbook.client import Client
    from studbook.tracking.v1.run_service_pb2 import ListRunsRequest

    wanted = run_tables.read_columns(columns)
    with Client() as client:
        request = ListRunsRequest(
            parent=experiment_name(experiment, client.workspace),
            filter=filter_text,
            order_by=order_by,
            show_deleted=deleted,
        )
        runs = run_calls.list_runs(client, request, limit)
    if as_json:
        output.print_json(runs)
    elif names_only:
        output.print_lines(short_run(run.name) for run in runs)
    else:
        output.print_table(wanted, run_tables.run_rows(runs, wanted))
        run_tables.note_when_cut(len(runs), limit)


@app.command("show")
def show_run(run: RunArgument, *, as_json: AsJson = False) -> None:
    """Show everything that was recorded of a run."""
    from studbook.cli import output, run_calls, run_tables
    from studbook.client import Client

    with Client() as client:
        found = run_calls.find_run(client, run)
    if as_json:
        output.print_json(found)
    else:
        run_tables.print_run(found)


@app.command("compare")
def compare_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN [RUN]...")],
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also print parameters that are the same everywhere.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set runs side by side.

    Shows the settings, data and packages that differ, and each metric against the first run.
    """
    from studbook.cli import output, run_calls, run_comparison
    from studbook.client import Client
    from studbook.tracking.v1.run_service_pb2 import CompareRunsRequest

    if len(runs) < 2:
        raise typer.BadParameter("Name at least two runs.")
    with Client() as client:
        names = [run_calls.find_run_name(client, run) for run in runs]
        comparison = client.runs.CompareRuns(CompareRunsRequest(runs=names))
    if as_json:
        output.print_json(comparison)
    else:
        run_comparison.print_comparison(comparison, everything=everything)


@app.command("rm")
def remove_run(
    run: RunArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run; `run restore` takes it back."""
    from studbook.cli import output, run_calls
    from studbook.cli.references import short_run
    from studbook.client import Client
    from studbook.tracking.v1.run_service_pb2 import DeleteRunRequest

    with Client() as client:
        found = run_calls.find_run(client, run)
        short = short_run(found.name)
        if not yes:
            typer.confirm(f"Delete {short} ({found.display_name})?", abort=True, err=True)
        client.runs.DeleteRun(DeleteRunRequest(name=found.name, etag=found.etag))
    output.note(f"Deleted {short}. Take it back with: studbook run restore {short}")


@app.command("restore")
def restore_run(run: RunArgument) -> None:
    """Take the deletion of a run back. Needs EXPERIMENT/RUN or the resource name."""
    from studbook.cli import output, run_calls
    from studbook.cli.references import short_run
    from studbook.client import Client
    from studbook.tracking.v1.run_service_pb2 import UndeleteRunRequest

    with Client() as client:
        name = run_calls.find_run_name(client, run)
        client.runs.UndeleteRun(UndeleteRunRequest(name=name))
    output.note(f"Restored {short_run(name)}.")


@app.command("artifacts")
def list_artifacts(
    run: RunArgument, *, names_only: NamesOnly = False, as_json: AsJson = False
) -> None:
    """List the files that a run left behind."""
    from studbook.cli import output, run_calls, run_tables
    from studbook.client import Client

    with Client() as client:
        artifacts = run_calls.list_artifacts(client, run_calls.find_run_name(client, run))
    if as_json:
        output.print_json(artifacts)
    elif names_only:
        output.print_lines(artifact.path for artifact in artifacts)
    else:
        run_tables.print_artifacts(artifacts)
