"""Records as messages of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.alias_names import AliasName
from registry_service.ledger import Outcome
from registry_service.loaded_records import Match
from registry_service.names import transition_name
from registry_service.records import Cause, Stage, VersionState
from service_chassis.errors import invalid_field, required_field
from service_chassis.principal_message import principal_message
from service_chassis.timestamps import to_timestamp
from studbook.registry.v1 import (
    alias_pb2,
    ledger_pb2,
    lineage_pb2,
    loaded_pb2,
    model_pb2,
    promotion_service_pb2,
    serving_service_pb2,
    version_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_service.alias_records import AliasStay
    from registry_service.ledger import Entry
    from registry_service.loaded_records import LoadedReport
    from registry_service.records import File, Model, Stay, Version
    from registry_service.resolution import Resolution

_STATES = {
    state: version_pb2.VersionState.Value(f"VERSION_STATE_{state.name}") for state in VersionState
}
_STAGES = {stage: version_pb2.Stage.Value(f"STAGE_{stage.name}") for stage in Stage}
_CAUSES: Mapping[Cause, promotion_service_pb2.TransitionCause.ValueType] = {
    cause: promotion_service_pb2.TransitionCause.Value(f"TRANSITION_CAUSE_{cause.name}")
    for cause in Cause
    if cause is not Cause.REGISTERED
}
_MATCHES = {match: loaded_pb2.LoadedMatch.Value(f"LOADED_MATCH_{match.name}") for match in Match}
_OUTCOMES = {
    outcome: ledger_pb2.LedgerOutcome.Value(f"LEDGER_OUTCOME_{outcome.name}") for outcome in Outcome
}


def to_stage(stage: Stage) -> version_pb2.Stage.ValueType:
    """A stage as the contract shows it."""
    return _STAGES[stage]


def to_cause(cause: Cause) -> promotion_service_pb2.TransitionCause.ValueType:
    """A cause as the contract shows it, to which a registration is no transition."""
    return _CAUSES.get(cause, promotion_service_pb2.TRANSITION_CAUSE_UNSPECIFIED)


def to_model(model: Model) -> model_pb2.Model:
    """A model as the contract shows it."""
    return model_pb2.Model(
        name=model.name,
        uid=model.uid,
        description=model.description,
        tags=model.tags,
        production_version=model.production_version,
        highest_version=model.highest_version,
        creator=principal_message(model.creator),
        create_time=to_timestamp(model.create_us),
        update_time=to_timestamp(model.update_us),
        etag=model.etag,
        protected_aliases=model.protected_aliases,
    )


def to_version(version: Version) -> version_pb2.Version:
    """A version as the contract shows it."""
    return version_pb2.Version(
        name=version.name,
        uid=version.uid,
        version=version.number,
        state=_STATES[version.state],
        state_reason=version.state_reason,
        stage=_STAGES[version.stage],
        stage_time=to_timestamp(version.stage_us),
        source_run=version.source_run,
        files=[to_file(file) for file in version.files],
        digest=f"sha256:{version.digest}",
        description=version.description,
        tags=version.tags,
        creator=principal_message(version.creator),
        create_time=to_timestamp(version.create_us),
        update_time=to_timestamp(version.update_us),
        etag=version.etag,
        aliases=version.aliases,
    )


def to_file(file: File) -> version_pb2.ModelFile:
    """A file of a version as the contract shows it."""
    return version_pb2.ModelFile(
        path=file.path,
        digest=f"sha256:{file.digest}",
        size_bytes=file.size_bytes,
        media_type=file.media_type,
    )


def to_alias(stay: AliasStay, *, is_protected: bool) -> alias_pb2.Alias:
    """What an alias names or named, as the contract shows it."""
    return alias_pb2.Alias(
        name=str(AliasName(stay.model, stay.alias)),
        version=stay.version,
        start_time=to_timestamp(stay.start_us),
        end_time=to_timestamp(stay.end_us),
        actor=principal_message(stay.actor),
        reason=stay.reason,
        is_protected=is_protected,
        etag=stay.etag if stay.position else "",
        ledger_position=stay.position,
    )


def to_loaded(report: LoadedReport) -> loaded_pb2.LoadedVersion:
    """What an instance has loaded, as the contract shows it."""
    return loaded_pb2.LoadedVersion(
        instance=report.instance,
        version=report.version,
        digest=f"sha256:{report.digest}",
        load_time=to_timestamp(report.load_us),
        report_time=to_timestamp(report.report_us),
        reporter=principal_message(report.reporter),
        match=_MATCHES[report.match],
    )


def to_transition(stay: Stay) -> promotion_service_pb2.Transition:
    """A stay in a stage as the transition that began it."""
    return promotion_service_pb2.Transition(
        name=transition_name(stay.model, stay.position),
        version=stay.version,
        from_stage=_STAGES[stay.from_stage] if stay.from_stage else version_pb2.STAGE_UNSPECIFIED,
        to_stage=_STAGES[stay.to_stage],
        reason=stay.reason,
        actor=principal_message(stay.actor),
        create_time=to_timestamp(stay.start_us),
        end_time=to_timestamp(stay.end_us),
        cause=_CAUSES[stay.cause],
        caused_by=transition_name(stay.model, stay.caused_by) if stay.caused_by else "",
        broke_glass=stay.broke_glass,
    )


def to_resolved(resolution: Resolution) -> serving_service_pb2.ResolveVersionResponse:
    """What a selector was resolved to, as the contract shows it."""
    return serving_service_pb2.ResolveVersionResponse(
        version=to_version(resolution.version),
        stage=_STAGES[resolution.stage],
        stage_start_time=to_timestamp(resolution.start_us),
        stage_end_time=to_timestamp(resolution.end_us),
        ledger_position=resolution.position,
        alias_start_time=to_timestamp(resolution.alias_start_us),
        alias_end_time=to_timestamp(resolution.alias_end_us),
    )


def to_entry(entry: Entry) -> ledger_pb2.LedgerEntry:
    """An entry of the ledger as the contract shows it."""
    return ledger_pb2.LedgerEntry(
        position=entry.position,
        create_time=to_timestamp(entry.create_us),
        actor=principal_message(entry.actor),
        action=entry.action,
        resource=entry.resource,
        outcome=_OUTCOMES[entry.outcome],
        reason=entry.reason,
        content_json=entry.content_json,
        caused_by=entry.caused_by,
        previous_hash=entry.previous_hash,
        hash=entry.hash,
        actor_digest=entry.actor_digest,
        actor_salt=entry.actor_salt,
        erased_by=entry.erased_by,
    )


def to_lineage(lineage: bytes) -> lineage_pb2.Lineage:
    """A lineage as it was written down."""
    return lineage_pb2.Lineage.FromString(lineage)


def read_stage(number: int, field: str) -> Stage:
    """The stage a request names.

    Raises:
        StudbookError: FIELD_REQUIRED when it is unspecified, FIELD_INVALID when it is unknown.
    """
    remedy = f"give one of {', '.join(stage.name for stage in Stage)}"
    if number == version_pb2.STAGE_UNSPECIFIED:
        raise required_field(field, remedy)
    try:
        return Stage(number)
    except ValueError as error:
        raise invalid_field(field, number, remedy) from error
