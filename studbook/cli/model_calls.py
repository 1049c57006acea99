"""Calls behind the commands under `studbook model`, `studbook pull` and `studbook audit`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import typer

from studbook.cli.paging import collect
from studbook.cli.references import (
    STAGES,
    VersionReference,
    expected_production,
    last_segment,
    moment,
)
from studbook.exceptions import NotFound
from studbook.registry.v1.lineage_service_pb2 import ListLedgerEntriesRequest
from studbook.registry.v1.model_pb2 import Model
from studbook.registry.v1.model_service_pb2 import (
    CreateModelRequest,
    CreateVersionRequest,
    GetModelRequest,
    ListModelsRequest,
    ListVersionsRequest,
)
from studbook.registry.v1.promotion_service_pb2 import (
    ListTransitionsRequest,
    RollbackRequest,
    TransitionStageRequest,
)
from studbook.registry.v1.serving_service_pb2 import ResolveVersionRequest
from studbook.registry.v1.version_pb2 import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studbook.client import Client
    from studbook.registry.v1.ledger_pb2 import LedgerEntry
    from studbook.registry.v1.promotion_service_pb2 import (
        RollbackResponse,
        Transition,
        TransitionStageResponse,
    )
    from studbook.registry.v1.serving_service_pb2 import ResolveVersionResponse
    from studbook.registry.v1.version_pb2 import Version

# So many versions are listed below a model; `model history` and `--json` go further back.
_VERSIONS_SHOWN = 100


def stage_number(text: str) -> Stage.ValueType:
    """The contract's number for a stage as people type it."""
    if text.lower() not in STAGES:
        raise typer.BadParameter(f'"{text}" is not a stage; there are {", ".join(STAGES)}.')
    return Stage.Value(f"STAGE_{text.upper()}")


def list_models(client: Client, filter_text: str, order_by: str, limit: int) -> list[Model]:
    """As many of the models that match as there are, up to the limit."""
    request = ListModelsRequest(parent=client.workspace, filter=filter_text, order_by=order_by)
    return collect(client.models.ListModels, request, lambda page: page.models, limit)


def read_model(client: Client, model: str) -> tuple[Model, list[Version]]:
    """A model and its versions, the highest number first."""
    found = client.models.GetModel(GetModelRequest(name=model)).model
    request = ListVersionsRequest(parent=model, page_size=_VERSIONS_SHOWN)
    return found, list(client.models.ListVersions(request).versions)


def resolve(client: Client, reference: VersionReference, at: str) -> ResolveVersionResponse:
    """The version that a reference stands for, now or at a moment; Production when it is open."""
    request = ResolveVersionRequest(model=reference.model)
    if reference.number:
        if at:
            message = "--at asks who stood in a stage; name a stage instead of a version number."
            raise typer.BadParameter(message)
        request.version = reference.number
    elif reference.stage:
        request.stage = stage_number(reference.stage)
    if at:
        request.at.FromDatetime(moment(at))
    return client.serving.ResolveVersion(request)


def version_name(client: Client, reference: VersionReference, at: str) -> str:
    """Resource name of the version that a reference stands for."""
    if reference.number and not at:
        return reference.version
    return resolve(client, reference, at).version.name


def list_transitions(client: Client, model: str, filter_text: str, limit: int) -> list[Transition]:
    """Changes of stage of a model, newest first, up to the limit."""
    request = ListTransitionsRequest(parent=model, filter=filter_text)
    return collect(client.promotions.ListTransitions, request, lambda page: page.transitions, limit)


def list_ledger(
    client: Client, parent: str, filter_text: str, order_by: str, limit: int
) -> list[LedgerEntry]:
    """Entries of the ledger, up to the limit."""
    request = ListLedgerEntriesRequest(parent=parent, filter=filter_text, order_by=order_by)
    return collect(client.lineage.ListLedgerEntries, request, lambda page: page.entries, limit)


def read_tags(texts: Sequence[str]) -> dict[str, str]:
    """Tags from `key=value` as typed."""
    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f'"{text}" is not a tag; write it KEY=VALUE.')
        tags[key] = value
    return tags


def register(
    client: Client,
    reference: VersionReference,
    source_run: str,
    paths: Sequence[str],
    details: Version,
    *,
    dry_run: bool,
) -> Version:
    """Register a version, and its model first when there is none of that name."""
    request = CreateVersionRequest(
        parent=reference.model,
        version_id=reference.number,
        source_run=source_run,
        artifact_paths=paths,
        version=details,
        request_id=_request_id(dry_run=dry_run),
        validate_only=dry_run,
    )
    try:
        return client.models.CreateVersion(request).version
    except NotFound as error:
        # The run exists, so it is the model that is missing; a dry run must not create it.
        if dry_run or error.metadata.get("resource") != reference.model:
            raise
    parent, _, model_id = reference.model.rpartition("/models/")
    client.models.CreateModel(
        CreateModelRequest(
            parent=parent, model_id=model_id, model=Model(), request_id=str(uuid.uuid4())
        )
    )
    return client.models.CreateVersion(request).version


def move(
    client: Client,
    reference: VersionReference,
    stage: str,
    *,
    reason: str,
    expect: str,
    dry_run: bool,
) -> TransitionStageResponse:
    """Move a version to a stage."""
    return client.promotions.TransitionStage(
        TransitionStageRequest(
            name=reference.version,
            to_stage=stage_number(stage),
            reason=reason,
            expected_production=expected_production(expect, reference.model),
            request_id=_request_id(dry_run=dry_run),
            validate_only=dry_run,
        )
    )


def roll_back(
    client: Client, model: str, to_version: str, *, reason: str, expect: str, dry_run: bool
) -> RollbackResponse:
    """Put an earlier version back into Production, by default the one before the present one."""
    if to_version == "none":
        raise typer.BadParameter("--to names a version that has been in Production, e.g. 1.2.0.")
    return client.promotions.Rollback(
        RollbackRequest(
            name=model,
            to_version=expected_production(to_version, model),
            reason=reason,
            expected_production=expected_production(expect, model),
            request_id=_request_id(dry_run=dry_run),
            validate_only=dry_run,
        )
    )


def stage_text(stage: Stage.ValueType) -> str:
    """A stage as people write it, also one that this client does not know yet."""
    if stage in Stage.values():
        return Stage.Name(stage).removeprefix("STAGE_").capitalize()
    return f"stage {stage}"


def model_id(name: str) -> str:
    """The model's id in the resource name of a model or version."""
    return last_segment(name.partition("/versions/")[0])


def _request_id(*, dry_run: bool) -> str:
    """An id under which the server answers a repeated call like the first; none for a try-out."""
    return "" if dry_run else str(uuid.uuid4())
