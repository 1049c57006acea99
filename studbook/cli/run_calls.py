"""Calls that find runs and their files for the commands under `studbook run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studbook.cli.paging import collect
from studbook.cli.references import last_segment, run_reference, short_run
from studbook.exceptions import NotFound
from studbook.tracking.v1.artifact_service_pb2 import ListArtifactsRequest
from studbook.tracking.v1.run_service_pb2 import GetRunRequest, ListRunsRequest

if TYPE_CHECKING:
    from studbook.client import Client
    from studbook.tracking.v1.artifact_pb2 import Artifact
    from studbook.tracking.v1.run_pb2 import Run


def list_runs(client: Client, request: ListRunsRequest, limit: int) -> list[Run]:
    """As many of the runs that match as there are, up to the limit."""
    return collect(client.runs.ListRuns, request, lambda page: page.runs, limit)


def find_run_name(client: Client, text: str) -> str:
    """Resource name of the run that was typed; deleted ones are found too.

    Args:
        client: Connection.
        text: A resource name, or [EXPERIMENT/]RUN, where the beginning of an id is enough as long
            as no other run begins so.

    Raises:
        NotFound: There is none.
        typer.BadParameter: Several begin so.
    """
    reference = run_reference(text, client.workspace)
    if reference.name:
        return reference.name
    request = ListRunsRequest(
        parent=reference.parent,
        filter=f'name = "*/runs/{reference.run_id}*"',
        show_deleted=True,
    )
    names = [run.name for run in list_runs(client, request, limit=10)]
    exact = [name for name in names if last_segment(name) == reference.run_id]
    found = exact or names
    if not found:
        raise NotFound(
            f'No run that you may see in {client.workspace} is "{text}".',
            reason="NOT_FOUND",
            metadata={"resource": f"{reference.parent}/runs/{reference.run_id}"},
        )
    if len(found) > 1:
        choices = ", ".join(short_run(name) for name in found)
        raise typer.BadParameter(f'"{text}" may mean any of: {choices}.')
    return found[0]


def find_run(client: Client, text: str) -> Run:
    """The run that was typed, with all that was recorded."""
    return client.runs.GetRun(GetRunRequest(name=find_run_name(client, text))).run


def list_artifacts(
    client: Client, run: str, *, filter_text: str = "", order_by: str = "", limit: int | None = None
) -> list[Artifact]:
    """The files of a run that match, by path unless told otherwise; None is no limit."""
    request = ListArtifactsRequest(parent=run, filter=filter_text, order_by=order_by)
    return collect(client.artifacts.ListArtifacts, request, lambda page: page.artifacts, limit)
