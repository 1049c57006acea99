"""What watches tell, as messages of the contract; and what is watched, read from a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry_service.alias_names import AliasName
from registry_service.proto_conversion import read_stage, to_cause, to_stage
from registry_service.records import Stage
from registry_service.watch_changes import AliasMove, StageMove
from registry_service.watch_interest import Interest, Sight
from service_chassis.errors import invalid_field
from service_chassis.principal_message import principal_message
from service_chassis.resource_names import WORKSPACE
from service_chassis.timestamps import to_timestamp
from service_chassis.validation import check_count
from studbook.registry.v1 import version_pb2, watch_pb2

if TYPE_CHECKING:
    from registry_service.watch_changes import Change
    from registry_service.watch_records import StandingAlias, StandingVersion
    from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest

_MODELS = re.compile(r"[a-z0-9*][a-z0-9._*-]{0,127}")
_ALIASES = re.compile(r"[a-z*][a-z0-9._*-]{0,63}")
_MOST_ALIASES = 64


def check_models(models: str, field: str) -> str:
    """Return the id of a model or a pattern of ids; empty stands for all.

    Raises:
        StudbookError: FIELD_INVALID.
    """
    if models and not _MODELS.fullmatch(models):
        raise invalid_field(
            field, models, "give the id of a model, or a pattern with * such as wine-*"
        )
    return models


def read_interest(request: WatchVersionsRequest) -> Interest:
    """What a request wants to watch.

    Raises:
        StudbookError: INVALID_ARGUMENT.
    """
    workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
    check_count(request.stages, "stages", len(Stage))
    check_count(request.aliases, "aliases", _MOST_ALIASES)
    for index, alias in enumerate(request.aliases):
        if not _ALIASES.fullmatch(alias):
            remedy = "give an alias such as champion, or a pattern with *"
            raise invalid_field(f"aliases[{index}]", alias, remedy)
    return Interest(
        workspace,
        check_models(request.models, "models"),
        frozenset(
            read_stage(stage, f"stages[{index}]") for index, stage in enumerate(request.stages)
        ),
        tuple(request.aliases),
    )


def to_standing_version(standing: StandingVersion) -> watch_pb2.StandingVersion:
    """How a version stands, as the contract shows it."""
    return watch_pb2.StandingVersion(
        version=standing.version,
        stage=to_stage(standing.stage),
        stage_time=to_timestamp(standing.since_us),
        digest=f"sha256:{standing.digest}",
        ledger_position=standing.position,
    )


def to_standing_alias(standing: StandingAlias) -> watch_pb2.StandingAlias:
    """What an alias names, as the contract shows it."""
    return watch_pb2.StandingAlias(
        alias=str(AliasName(standing.model, standing.alias)),
        version=standing.version,
        start_time=to_timestamp(standing.since_us),
        digest=f"sha256:{standing.digest}",
        ledger_position=standing.position,
    )


def to_change(change: Change, sight: Sight) -> watch_pb2.Change:
    """A change as it is told to somebody of that sight."""
    message = watch_pb2.Change(
        ledger_position=change.position,
        create_time=to_timestamp(change.create_us),
        model=change.model,
    )
    match change.move:
        case StageMove():
            message.stage.CopyFrom(_stage_change(change.move, sight))
        case AliasMove(name=name, from_version=before, to_version=after, digest=digest):
            message.alias.alias = name
            message.alias.from_version = before
            message.alias.to_version = after
            message.alias.digest = digest
    if sight is Sight.ALL:
        message.actor.CopyFrom(principal_message(change.actor))
        message.reason = change.reason
    return message


def _stage_change(move: StageMove, sight: Sight) -> watch_pb2.StageChange:
    def shown(stage: Stage | None) -> version_pb2.Stage.ValueType:
        hidden = sight is not Sight.ALL and stage is not Stage.PRODUCTION
        return version_pb2.STAGE_UNSPECIFIED if hidden or stage is None else to_stage(stage)

    return watch_pb2.StageChange(
        version=move.version,
        from_stage=shown(move.from_stage),
        to_stage=shown(move.to_stage),
        cause=to_cause(move.cause),
        digest=move.digest,
    )
