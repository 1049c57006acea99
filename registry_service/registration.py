"""Registering, changing and deleting versions; what they consist of never changes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry_service.file_selection import digest_files
from registry_service.ledger import Draft
from registry_service.names import VersionName
from registry_service.records import Cause, File, Snapshot, Stage, Stay, Version, VersionState
from registry_service.version_numbers import BEFORE_ALL, Part, VersionNumber, parse_number
from service_chassis.errors import already_exists, failed_precondition, not_found
from service_chassis.etags import check_etag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_service.canonical_json import JsonObject
    from registry_service.ledger import Entry
    from registry_service.parents import ParentWish
    from registry_service.records import Model
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller


@dataclass(frozen=True, slots=True)
class Registration:
    """A wish to register a version from a run.

    Attributes:
        bump: Which part of the highest release to raise for the number, instead of that in `name`.
    """

    name: VersionName
    source_run: str
    artifact_paths: tuple[str, ...]
    description: str
    tags: Mapping[str, str]
    parents: tuple[ParentWish, ...] = ()
    bump: Part | None = None


def check_number(store: RegistryStore, name: VersionName) -> Model:
    """Make sure that a version of this name can be registered, and return its model.

    Raises:
        StudbookError: NOT_FOUND for the model, VERSION_EXISTS for the number.
    """
    model = store.models.find(name.model)
    if model is None:
        raise not_found(name.model, "create it with CreateModel first")
    if store.versions.is_taken(str(name)):
        free = _free_after(store, name)
        raise already_exists(
            str(name),
            f"numbers are given once, also when the version was deleted; {free} is free",
            reason="VERSION_EXISTS",
            next_patch=str(free),
        )
    return model


def _free_after(store: RegistryStore, name: VersionName) -> VersionNumber:
    """The first release of the same series above the number and every release of the series."""
    highest = _highest(store, name.model, name.number.series_key)
    return max(highest, name.number, key=lambda number: number.core_key).bumped(Part.PATCH)


def next_name(store: RegistryStore, model: str, part: Part) -> VersionName:
    """The name of a version whose number comes after the highest release there ever was.

    Somebody else may register it first; then ask again.
    """
    return VersionName(model, _highest(store, model).bumped(part))


def _highest(store: RegistryStore, model: str, series_key: str = "") -> VersionNumber:
    found = store.versions.highest_release(model, series_key)
    return parse_number(found, "version") if found else BEFORE_ALL


def register(
    store: RegistryStore,
    caller: Caller,
    registration: Registration,
    snapshot: Snapshot,
    files: tuple[File, ...],
) -> Version:
    """Add a version in stage None, its files yet to be verified.

    Raises:
        StudbookError: As `check_number`.
    """
    store.models.hold(registration.name.model)
    model = check_number(store, registration.name)
    uid = str(uuid.uuid4())
    digest = digest_files(files)
    content: JsonObject = {
        "version_uid": uid,
        "after": {
            "state": VersionState.PENDING.name,
            "stage": Stage.NONE.name,
            "source_run": registration.source_run,
            "digest": f"sha256:{digest}",
            "lineage_digest": f"sha256:{snapshot.lineage_digest}",
            "parents": [
                {"version": parent.version, "uri": parent.uri, "digest": f"sha256:{parent.digest}"}
                for parent in snapshot.parents
            ],
            "files": [
                {
                    "path": file.path,
                    "digest": f"sha256:{file.digest}",
                    "size_bytes": file.size_bytes,
                    "media_type": file.media_type,
                }
                for file in files
            ],
            "description": registration.description,
            "tags": registration.tags,
        },
    }
    name = str(registration.name)
    entry = store.ledger.append(Draft(caller.principal, "version.create", name, content))
    version = _new_version(registration, model, files, digest, uid, entry)
    store.versions.insert(version, registration.name.number.sort_key, snapshot)
    store.lineages.insert(version.uid, snapshot)
    store.stays.begin(_first_stay(version, entry), model.uid)
    return version


def _new_version(
    registration: Registration,
    model: Model,
    files: tuple[File, ...],
    digest: str,
    uid: str,
    entry: Entry,
) -> Version:
    return Version(
        uid=uid,
        model_uid=model.uid,
        model=model.name,
        name=str(registration.name),
        number=str(registration.name.number),
        state=VersionState.PENDING,
        state_reason="",
        stage=Stage.NONE,
        stage_us=entry.create_us,
        stage_position=entry.position,
        was_in_production=False,
        source_run=registration.source_run,
        files=files,
        digest=digest,
        description=registration.description,
        tags=registration.tags,
        creator=entry.actor,
        create_position=entry.position,
        create_us=entry.create_us,
        update_us=entry.create_us,
        change_position=entry.position,
    )


def _first_stay(version: Version, entry: Entry) -> Stay:
    return Stay(
        position=entry.position,
        model=version.model,
        version_uid=version.uid,
        version=version.name,
        from_stage=None,
        to_stage=Stage.NONE,
        cause=Cause.REGISTERED,
        caused_by=0,
        reason="",
        actor=entry.actor,
        start_us=entry.create_us,
        end_us=None,
    )


def update_version(
    store: RegistryStore,
    caller: Caller,
    name: VersionName,
    etag: str,
    *,
    description: str | None,
    tags: Mapping[str, str] | None,
    validate_only: bool,
) -> Version:
    """Give a version another description or other tags; None leaves them.

    Raises:
        StudbookError: NOT_FOUND or ETAG_MISMATCH.
    """
    version = _lock(store, name)
    check_etag(etag, version.etag, version.name)
    changed = replace(
        version,
        description=version.description if description is None else description,
        tags=version.tags if tags is None else tags,
    )
    if changed == version:
        return version
    if validate_only:
        return changed
    content: JsonObject = {
        "version_uid": version.uid,
        "before": {"description": version.description, "tags": version.tags},
        "after": {"description": changed.description, "tags": changed.tags},
    }
    entry = store.ledger.append(Draft(caller.principal, "version.update", version.name, content))
    changed = replace(changed, update_us=entry.create_us, change_position=entry.position)
    store.versions.save(changed)
    store.versions.save_tags(changed)
    return changed


def delete_version(
    store: RegistryStore, caller: Caller, name: VersionName, etag: str, *, validate_only: bool
) -> None:
    """Delete a version that never was in Production; its number stays taken.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH or RESOURCE_HELD.
    """
    version = _lock(store, name)
    check_etag(etag, version.etag, version.name)
    if version.was_in_production:
        raise failed_precondition(
            "RESOURCE_HELD",
            version.name,
            f"{version.name} is or was in Production and stays for good; archive it instead.",
            resource=version.name,
            holder=version.model,
        )
    _check_bears_no_alias(version)
    if validate_only:
        return
    content: JsonObject = {
        "version_uid": version.uid,
        "before": {"state": version.state.name, "stage": version.stage.name},
        "after": None,
    }
    entry = store.ledger.append(Draft(caller.principal, "version.delete", version.name, content))
    store.stays.end(version.uid, entry.create_us)
    store.versions.mark_deleted(version, entry.create_us)


def _check_bears_no_alias(version: Version) -> None:
    for alias in version.aliases:
        name = f"{version.model}/aliases/{alias}"
        raise failed_precondition(
            "RESOURCE_HELD",
            version.name,
            f"{version.name} is named by the alias {alias}; move that to another version first.",
            resource=version.name,
            holder=name,
        )


def _lock(store: RegistryStore, name: VersionName) -> Version:
    store.models.hold(name.model)
    version = store.versions.find(str(name))
    if version is None:
        raise not_found(str(name))
    return version
