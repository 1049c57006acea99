"""Aliases: free names that are made to name one version of a model, and then another.

Who could change what an ops service gets by `NAME@champion` can do as much as who promotes, so a
model can protect an alias: it then moves with the permission to promote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry_service.alias_names import AliasName
from registry_service.alias_records import AliasStay
from registry_service.ledger import Draft, Outcome
from registry_service.promotion import PROMOTE, not_ready
from registry_service.promotion_refusals import words_in_ledger
from registry_service.records import VersionState
from service_chassis.errors import not_found
from service_chassis.etags import check_etag

if TYPE_CHECKING:
    from registry_service.canonical_json import JsonObject
    from registry_service.records import Model, Version
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller
    from service_chassis.errors import StudbookError

# Etag of an alias that names nothing.
NO_ALIAS = "none"


@dataclass(frozen=True, slots=True)
class AliasSet:
    """What became of a wish that an alias name a version.

    Attributes:
        stay: What it names; with `position` 0 when nothing was written.
        is_protected: Whether the model protects it.
        former: Name of the version that it named before; empty without one.
        unchanged: Whether it named the version already.
    """

    stay: AliasStay
    is_protected: bool
    former: str = ""
    unchanged: bool = False


def set_alias(
    store: RegistryStore,
    caller: Caller,
    name: AliasName,
    version_name: str,
    *,
    reason: str,
    etag: str,
    validate_only: bool,
) -> AliasSet:
    """Make an alias name a version.

    Raises:
        StudbookError: NOT_FOUND, PERMISSION_MISSING, ETAG_MISMATCH or VERSION_NOT_READY.
    """
    model = _lock(store, name.model)
    version = store.versions.find(version_name)
    if version is None:
        raise not_found(version_name)
    present = store.aliases.present(model.uid, name.alias)
    is_protected = name.alias in model.protected_aliases
    if present is not None and present.version_uid == version.uid:
        return AliasSet(present, is_protected, present.version, unchanged=True)
    _check_permission(caller, model, name, version.name, present)
    check_etag(etag, present.etag if present else NO_ALIAS, str(name))
    if version.state is not VersionState.READY:
        raise not_ready(version)
    stay = _unwritten(store, caller, name, version, reason)
    former = present.version if present else ""
    if not validate_only:
        stay = _carry_out(store, model, stay, present, version.digest)
    return AliasSet(stay, is_protected, former)


def delete_alias(
    store: RegistryStore,
    caller: Caller,
    name: AliasName,
    *,
    reason: str,
    etag: str,
    validate_only: bool,
) -> None:
    """Let an alias name nothing any more.

    Raises:
        StudbookError: NOT_FOUND, PERMISSION_MISSING or ETAG_MISMATCH.
    """
    model = _lock(store, name.model)
    present = store.aliases.present(model.uid, name.alias)
    if present is None:
        raise not_found(str(name))
    _check_permission(caller, model, name, present.version, present)
    check_etag(etag, present.etag, str(name))
    if validate_only:
        return
    content: JsonObject = {
        "version_uid": present.version_uid,
        "before": {"version": present.version},
        "after": None,
    }
    entry = store.ledger.append(Draft(caller.principal, "alias.delete", str(name), content, reason))
    store.aliases.end(present, entry.create_us)


def record_refusal(
    store: RegistryStore, caller: Caller, name: AliasName, version: str, refusal: StudbookError
) -> None:
    """Enter in the ledger that somebody tried to move a protected alias without permission.

    What does not exist gets no entry.
    """
    if store.models.uid(name.model) is None:
        return
    content: JsonObject = {
        "version": version or None,
        "permission": refusal.metadata.get("permission", ""),
    }
    action = "alias.set" if version else "alias.delete"
    store.ledger.append(
        Draft(
            caller.principal,
            action,
            str(name),
            content,
            words_in_ledger(refusal),
            outcome=Outcome.REFUSED,
        )
    )


def _lock(store: RegistryStore, name: str) -> Model:
    model = store.models.lock(name)
    if model is None:
        raise not_found(name)
    return model


def _check_permission(
    caller: Caller, model: Model, name: AliasName, version: str, present: AliasStay | None
) -> None:
    if name.alias not in model.protected_aliases:
        return
    caller.require(PROMOTE, version)
    if present is not None:
        caller.require(PROMOTE, present.version)


def _unwritten(
    store: RegistryStore, caller: Caller, name: AliasName, version: Version, reason: str
) -> AliasStay:
    return AliasStay(
        position=0,
        model=name.model,
        alias=name.alias,
        version_uid=version.uid,
        version=version.name,
        reason=reason,
        actor=caller.principal,
        start_us=store.now_us(),
    )


def _carry_out(
    store: RegistryStore, model: Model, stay: AliasStay, present: AliasStay | None, digest: str
) -> AliasStay:
    content: JsonObject = {
        "version_uid": stay.version_uid,
        "version_digest": f"sha256:{digest}",
        "before": {"version": present.version} if present else None,
        "after": {"version": stay.version},
    }
    name = str(AliasName(stay.model, stay.alias))
    entry = store.ledger.append(Draft(stay.actor, "alias.set", name, content, stay.reason))
    begun = replace(stay, position=entry.position, start_us=entry.create_us)
    if present is not None:
        store.aliases.end(present, entry.create_us)
    store.aliases.begin(begun, model.uid)
    return begun
