"""Which version a stage, alias, number or range stands for, now or in the past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry_service.records import Cause, Stage, Version
from registry_service.version_numbers import parse_number
from service_chassis.errors import Code, StudbookError, not_found
from service_chassis.timestamps import to_text

if TYPE_CHECKING:
    from registry_service.alias_names import AliasName
    from registry_service.names import VersionName
    from registry_service.store import RegistryStore
    from registry_service.version_ranges import VersionRange
    from service_chassis.caller import Caller

READ = "models.read"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A version, and the stay in a stage by which it was found.

    Attributes:
        position: Ledger position of the transition that put it there; 0 when it was registered
            there. For an alias, of the entry by which it came to name the version.
        alias_start_us: For an alias: since when it names the version.
        alias_end_us: For an alias: until when; None when it still does.
    """

    version: Version
    stage: Stage
    start_us: int
    end_us: int | None
    position: int
    alias_start_us: int | None = None
    alias_end_us: int | None = None


def resolve_stage(store: RegistryStore, model_name: str, stage: Stage) -> Resolution:
    """The version that is in a stage now; of several, the one that entered it last.

    Raises:
        StudbookError: NOT_FOUND for the model, or STAGE_EMPTY.
    """
    version = store.versions.latest_of(model_name, stage)
    if version is None:
        _model_uid(store, model_name)
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


def resolve_alias(
    store: RegistryStore, caller: Caller, name: AliasName, us: int | None = None
) -> Resolution:
    """The version that an alias names, now or at a moment.

    Raises:
        StudbookError: NOT_FOUND for the model, the alias, or a version deleted since;
            PERMISSION_MISSING as for `readable_version`.
    """
    uid = store.models.uid(name.model)
    stay = None
    if uid is not None:
        present = store.aliases.present(uid, name.alias)
        stay = present if us is None else store.aliases.at(uid, name.alias, us)
    version = store.versions.find(stay.version) if stay is not None else None
    _require_served(caller, name.model, version)
    if uid is None:
        raise not_found(name.model)
    if stay is None:
        raise not_found(str(name), f"it named nothing at {to_text(us)}" if us is not None else "")
    if version is None:
        raise not_found(stay.version, f"{name.alias} named it then; it was deleted since")
    return replace(
        _present(version),
        position=stay.position,
        alias_start_us=stay.start_us,
        alias_end_us=stay.end_us,
    )


def resolve_previous(store: RegistryStore, caller: Caller, model_name: str) -> Resolution:
    """The version that was in Production before the present one: what a rollback returns to.

    Raises:
        StudbookError: PERMISSION_MISSING; NOT_FOUND for the model; STAGE_EMPTY when there is none.
    """
    caller.require(READ, model_name)
    uid = _model_uid(store, model_name)
    present = store.versions.latest_in(uid, Stage.PRODUCTION)
    name = store.stays.last_in_production(uid, present.uid if present else "")
    version = store.versions.find(name) if name else None
    if version is None:
        raise StudbookError(
            Code.NOT_FOUND,
            "STAGE_EMPTY",
            f"No version of {model_name} was in Production before the present one.",
            metadata={"model": model_name, "stage": Stage.PRODUCTION.name},
            resource=model_name,
        )
    return _present(version)


def resolve_range(
    store: RegistryStore, caller: Caller, model_name: str, wanted: VersionRange
) -> Resolution:
    """The READY version of the highest precedence in a range.

    Raises:
        StudbookError: NOT_FOUND for the model; RANGE_EMPTY; PERMISSION_MISSING as for
            `readable_version`.
    """
    uid = store.models.uid(model_name)
    numbers = store.versions.ready_numbers(uid) if uid is not None else iter(())
    number = next((text for text in numbers if wanted.includes(parse_number(text, "range"))), None)
    version = store.versions.find(f"{model_name}/versions/{number}") if number else None
    _require_served(caller, model_name, version)
    if uid is None:
        raise not_found(model_name)
    if version is None:
        raise StudbookError(
            Code.NOT_FOUND,
            "RANGE_EMPTY",
            f'No READY version of {model_name} is in the range "{wanted.text}".',
            metadata={"model": model_name, "range": wanted.text},
            resource=model_name,
        )
    return _present(version)


def _require_served(caller: Caller, model_name: str, version: Version | None) -> None:
    """Make sure that the caller may read, or that the version is in Production now."""
    if version is None or version.stage is not Stage.PRODUCTION:
        # On the model in both cases, so that a refusal does not tell which it is.
        caller.require(READ, model_name)


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
        metadata["time"] = to_text(us)
        message = f"No version of {model_name} was in stage {stage.name} at {metadata['time']}."
    return StudbookError(
        Code.NOT_FOUND, "STAGE_EMPTY", message, metadata=metadata, resource=model_name
    )
