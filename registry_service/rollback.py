"""Finding what a rollback returns to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.promotion import PROMOTE
from registry_service.records import Stage
from service_chassis.errors import StudbookError, failed_precondition, not_found

if TYPE_CHECKING:
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller


def rollback_target(store: RegistryStore, caller: Caller, model_name: str, to_version: str) -> str:
    """Name of the version that a rollback puts into Production.

    Args:
        store: The tables.
        caller: Who rolls back.
        model_name: The model.
        to_version: Name of a version that was in Production before; empty for the one that was
            there before the present one.

    Raises:
        StudbookError: PERMISSION_MISSING, NOT_FOUND or NOTHING_TO_ROLL_BACK.
    """
    if to_version:
        caller.require(PROMOTE, to_version)
    model = store.models.find(model_name)
    if model is None:
        raise not_found(model_name)
    if not to_version:
        present = store.versions.latest_in(model.uid, Stage.PRODUCTION)
        target = store.stays.last_in_production(model.uid, present.uid if present else "")
        if not target:
            raise _nothing(model_name, f"{model_name} has no earlier Production version.")
        return target
    version = store.versions.find(to_version)
    if version is None:
        raise not_found(to_version)
    if not version.was_in_production:
        raise _nothing(
            model_name,
            f"{to_version} never was in Production; promote it with TransitionStage instead.",
        )
    return to_version


def _nothing(model_name: str, message: str) -> StudbookError:
    return failed_precondition("NOTHING_TO_ROLL_BACK", model_name, message, model=model_name)
