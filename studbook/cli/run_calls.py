"""Calls that find runs and their files for the commands under `studbook run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studbook.cli.paging import collect
from studbook.cli.references import run_reference, short_run
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
    """Resource name of the run that was typed; looks it up when the experiment is missing.

    Raises:
        NotFound: No run of the workspace has that id.
        typer.BadParameter: Runs of several experiments have it.
    """
    reference = run_reference(text, client.workspace)
    if reference.name:
        return reference.name
    request = ListRunsRequest(
        parent=f"{client.workspace}/experiments/-",
        filter=f'name = "*/runs/{reference.run_id}"',
        show_deleted=True,
    )
    names = [run.name for run in list_runs(client, request, limit=10)]
    if not names:
        raise NotFound(
            f'No run of {client.workspace} that you may see has the id "{text}".',
            reason="NOT_FOUND",
            metadata={"resource": f"{client.workspace}/experiments/-/runs/{text}"},
        )
    if len(names) > 1:
        choices = ", ".join(short_run(name) for name in names)
        raise typer.BadParameter(f'Several runs have the id "{text}"; name one of: {choices}.')
    return names[0]


def find_run(client: Client, text: str) -> Run:
    """The run that was typed, with all that was recorded."""
    return client.runs.GetRun(GetRunRequest(name=find_run_name(client, text))).run


def list_artifacts(client: Client, run: str) -> list[Artifact]:
    """All files of a run by path."""
    request = ListArtifactsRequest(parent=run)
    return collect(client.artifacts.ListArtifacts, request, lambda page: page.artifacts)
