"""`studbook run`: find, read, compare, follow and remove training runs, and fetch their files."""

from pathlib import Path
from typing import Annotated

import typer

from studbook.cli.options import AsJson, Filter, Limit, NamesOnly, OrderBy

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Find, read, compare, follow and remove runs, and fetch their files.",
)

_INTERRUPTED = 130

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
            help="Comma-separated: run, name, state, started, duration, heartbeat, commit, "
            "datasets, params.KEY, tags.KEY, metrics.KEY[.min|max|mean|min_step...], "
            "code.branch, environment.hostname and others; * in a KEY for all that match.",
        ),
    ] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="Also list deleted runs.")] = False,
    names_only: NamesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from studbook.cli import output, run_calls, run_columns, run_mask
    from studbook.cli.references import experiment_name, short_run
    from studbook.client import Client
    from studbook.tracking.v1.run_service_pb2 import ListRunsRequest

    wanted = run_columns.read_columns(columns)
    with Client() as client:
        request = ListRunsRequest(
            parent=experiment_name(experiment, client.workspace),
            filter=filter_text,
            order_by=order_by,
            show_deleted=deleted,
        )
        if not as_json:
            request.read_mask.paths.extend(["name"] if names_only else run_mask.read_mask(wanted))
        runs = run_calls.list_runs(client, request, limit)
    if as_json:
        output.print_json(runs)
    elif names_only:
        output.print_lines(short_run(run.name) for run in runs)
    else:
        output.print_table(*run_columns.table_of(wanted, runs))
        run_columns.note_when_cut(len(runs), limit)


@app.command("show")
def show_run(run: RunArgument, *, as_json: AsJson = False) -> None:
    """Show everything that was recorded of a run."""
    from studbook.cli import output, run_calls, run_page
    from studbook.client import Client

    with Client() as client:
        found = run_calls.find_run(client, run)
        if as_json:
            output.print_json(found)
            return
        artifacts = run_calls.list_artifacts(client, found.name, limit=run_page.MOST_COUNTED + 1)
    run_page.print_run(found, artifacts)


@app.command("compare")
def compare_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN [RUN]...")],
    *,
    baseline: Annotated[
        str,
        typer.Option(metavar="RUN", help="The run to measure the others against, not the first."),
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also print what is the same in all runs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set 2 to 100 runs side by side, and print what differs.

    Parameters, metrics against the first run, datasets, packages, code and environment.
    """
    from studbook.cli import output, run_calls, run_comparison
    from studbook.client import Client
    from studbook.tracking.v1.run_service_pb2 import CompareRunsRequest

    if len(runs) < 2:
        raise typer.BadParameter("Name at least two runs.")
    with Client() as client:
        request = CompareRunsRequest(
            runs=[run_calls.find_run_name(client, run) for run in runs],
            baseline=run_calls.find_run_name(client, baseline) if baseline else "",
        )
        comparison = client.runs.CompareRuns(request)
    if as_json:
        output.print_json(comparison)
    else:
        run_comparison.print_comparison(comparison, everything=everything)


@app.command("tail")
def follow_run(
    run: RunArgument,
    *,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="KEY", help="Only this metric; repeatable. * for all that match."
        ),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="Steps to print first, of those there are.")
    ] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object on each line.")
    ] = False,
) -> None:
    """Print a run's metrics as they arrive.

    A line for each step, and one for each change of the state, until the run ends; exit code 1
    unless it finished as intended. Metrics of the machine are printed only with --key.
    """
    import sys
    import time

    from studbook.cli import run_calls, run_tail
    from studbook.cli.run_following import Follower
    from studbook.client import Client

    def wait(seconds: float) -> None:
        sys.stdout.flush()
        time.sleep(seconds)

    try:
        with Client() as client:
            name = run_calls.find_run_name(client, run)
            follower = Follower(client, name, keys=keys or (), lines=lines, wait=wait)
            for event in follower.events():
                run_tail.print_event(event, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    raise typer.Exit(run_tail.close(follower, keys or ()))


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


@app.command("ls-artifacts")
def list_artifacts(
    run: RunArgument,
    *,
    filter_text: Filter = "",
    order_by: OrderBy = "",
    names_only: NamesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List the files that a run left behind, by path."""
    from studbook.cli import output, run_artifacts, run_calls
    from studbook.client import Client

    with Client() as client:
        name = run_calls.find_run_name(client, run)
        artifacts = run_calls.list_artifacts(
            client, name, filter_text=filter_text, order_by=order_by
        )
    if as_json:
        output.print_json(artifacts)
    elif names_only:
        output.print_lines(artifact.path for artifact in artifacts)
    else:
        run_artifacts.print_artifacts(artifacts)


@app.command("download")
def download(
    run: RunArgument,
    *,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Files and folders of the run; none: all."),
    ] = None,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made when it is missing.")],
    as_json: AsJson = False,
) -> None:
    """Fetch files of a run, every digest checked.

    They get their own paths below the directory, and are printed. A transfer that was broken off
    goes on where it was. Exit code 6 when bytes are not what they should be.
    """
    from studbook import artifact_transfer
    from studbook.cli import output, run_artifacts, run_calls
    from studbook.client import Client

    with Client() as client:
        name = run_calls.find_run_name(client, run)
        with output.progress_bar(f"Fetching files of {run}") as moved:
            files = artifact_transfer.download(
                client, name, directory, *(paths or ()), progress=moved
            )
    if as_json:
        output.print_json(
            {"run": name, "directory": str(directory), "files": [str(file) for file in files]}
        )
    else:
        run_artifacts.print_downloaded(name, directory, files)
