"""Which version a stage or number stands for, now or in the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from registry_service.records import Cause, Stage, Version
from service_chassis.errors import Code, StudbookError, not_found

if TYPE_CHECKING:
    from registry_service.names import VersionName
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller

READ = "models.read"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A version, and the stay in a stage by which it was found.

    Attributes:
        position: Ledger position of the transition that put it there; 0 when it was registered
            there.
    """

    version: Version
    stage: Stage
    start_us: int
    end_us: int | None
    position: int


def resolve_stage(store: RegistryStore, model_name: str, stage: Stage) -> Resolution:
    """The version that is in a stage now; of several, the one that entered it last.

    Raises:
        StudbookError: NOT_FOUND for the model, or STAGE_EMPTY.
    """
    uid = _model_uid(store, model_name)
    version = store.versions.latest_in(uid, stage)
    if version is None:
        raise _stage_empty(model_name, stage)
    return _present(version)


def resolve_stage_at(store: RegistryStore, model_name: str, stage: Stage, us: int) -> Resolution:
    """The version that was in a stage at a moment; of several, the one that entered it last.

    The answer is final only when no entry of the ledger can come to bear that time any more; see
    `LedgerStore.settle`.

    Raises:
        StudbookError: NOT_FOUND for the model or a version deleted since, or STAGE_EMPTY.
    """
    stay = store.stays.at(_model_uid(store, model_name), stage, us)
    if stay is None:
        raise _stage_empty(model_name, stage, us)
    version = store.versions.find(stay.version)
    if version is None:
        raise not_found(stay.version, f"it was in stage {stage.name} then and was deleted since")
    position = 0 if stay.cause is Cause.REGISTERED else stay.position
    return Resolution(version, stage, stay.start_us, stay.end_us, position)


def resolve_number(store: RegistryStore, caller: Caller, name: VersionName) -> Resolution:
    """The version of a number.

    Raises:
        StudbookError: As `readable_version`.
    """
    return _present(readable_version(store, caller, name))


def readable_version(store: RegistryStore, caller: Caller, name: VersionName) -> Version:
    """A version by name, for a caller who may read it, or because it is in Production now.

    Raises:
        StudbookError: PERMISSION_MISSING, the same whether or not there is such a version, to a
            caller who may only be served; NOT_FOUND.
    """
    version = store.versions.find(str(name))
    if version is None or version.stage is not Stage.PRODUCTION:
        caller.require(READ, str(name))
    if version is None:
        raise not_found(str(name))
    return version


def _model_uid(store: RegistryStore, model_name: str) -> str:
    uid = store.models.uid(model_name)
    if uid is None:
        raise not_found(model_name)
    return uid


def _present(version: Version) -> Resolution:
    moved = version.stage_position != version.create_position
    return Resolution(
        version, version.stage, version.stage_us, None, version.stage_position if moved else 0
    )


def _stage_empty(model_name: str, stage: Stage, us: int | None = None) -> StudbookError:
    metadata = {"model": model_name, "stage": stage.name}
    if us is None:
        message = f"No version of {model_name} is in stage {stage.name}."
    else:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
        metadata["time"] = moment.isoformat().replace("+00:00", "Z")
        message = f"No version of {model_name} was in stage {stage.name} at {metadata['time']}."
    return StudbookError(
        Code.NOT_FOUND, "STAGE_EMPTY", message, metadata=metadata, resource=model_name
    )
