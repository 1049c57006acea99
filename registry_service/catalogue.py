"""Creating, changing and deleting models."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from registry_service.ledger import Draft
from registry_service.promotion import PROMOTE
from registry_service.records import Model
from service_chassis.errors import already_exists, failed_precondition, not_found
from service_chassis.etags import check_etag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_service.canonical_json import JsonObject
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller


def create_model(
    store: RegistryStore,
    caller: Caller,
    name: str,
    *,
    description: str,
    tags: Mapping[str, str],
    protected_aliases: tuple[str, ...] = (),
) -> Model:
    """Add a model.

    Raises:
        StudbookError: ALREADY_EXISTS.
    """
    # There is no row yet that two creators of the same name could wait for each other at.
    store.ledger.lock()
    check_name(store, name)
    uid = str(uuid.uuid4())
    after = _settings(description, tags, protected_aliases)
    content: JsonObject = {"model_uid": uid, "after": after}
    entry = store.ledger.append(Draft(caller.principal, "model.create", name, content))
    model = Model(
        uid=uid,
        workspace=name.split("/")[1],
        name=name,
        description=description,
        tags=tags,
        production_version="",
        highest_version="",
        creator=entry.actor,
        create_us=entry.create_us,
        update_us=entry.create_us,
        change_position=entry.position,
        protected_aliases=protected_aliases,
    )
    store.models.insert(model)
    return model


def check_name(store: RegistryStore, name: str) -> None:
    """Make sure that no model has this name.

    Raises:
        StudbookError: ALREADY_EXISTS.
    """
    if store.models.find(name) is not None:
        raise already_exists(name, "use it, or choose another id")


def update_model(
    store: RegistryStore,
    caller: Caller,
    name: str,
    etag: str,
    *,
    description: str | None,
    tags: Mapping[str, str] | None,
    protected_aliases: tuple[str, ...] | None = None,
    validate_only: bool,
) -> Model:
    """Give a model another description, other tags or protected aliases; None leaves them.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH or PERMISSION_MISSING.
    """
    model = _lock(store, name)
    check_etag(etag, model.etag, model.name)
    if protected_aliases not in {None, model.protected_aliases}:
        caller.require(PROMOTE, name)
    changed = replace(
        model,
        description=model.description if description is None else description,
        tags=model.tags if tags is None else tags,
        protected_aliases=(
            model.protected_aliases if protected_aliases is None else protected_aliases
        ),
    )
    if changed == model:
        return model
    if validate_only:
        return changed
    content: JsonObject = {
        "model_uid": model.uid,
        "before": _settings_of(model),
        "after": _settings_of(changed),
    }
    entry = store.ledger.append(Draft(caller.principal, "model.update", name, content))
    changed = replace(changed, update_us=entry.create_us, change_position=entry.position)
    store.models.save(changed)
    return changed


def delete_model(
    store: RegistryStore, caller: Caller, name: str, etag: str, *, validate_only: bool
) -> None:
    """Delete a model that has no versions.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH or NOT_EMPTY.
    """
    model = _lock(store, name)
    check_etag(etag, model.etag, model.name)
    if store.models.has_versions(model):
        raise failed_precondition(
            "NOT_EMPTY",
            name,
            f"{name} still has versions; delete them first.",
            resource=name,
        )
    if validate_only:
        return
    content: JsonObject = {
        "model_uid": model.uid,
        "before": _settings_of(model),
        "after": None,
    }
    entry = store.ledger.append(Draft(caller.principal, "model.delete", name, content))
    store.models.mark_deleted(model, entry.create_us)


def _settings_of(model: Model) -> JsonObject:
    return _settings(model.description, model.tags, model.protected_aliases)


def _settings(
    description: str, tags: Mapping[str, str], protected_aliases: tuple[str, ...]
) -> JsonObject:
    return {
        "description": description,
        "tags": tags,
        "protected_aliases": list(protected_aliases),
    }


def _lock(store: RegistryStore, name: str) -> Model:
    model = store.models.lock(name)
    if model is None:
        raise not_found(name)
    return model
