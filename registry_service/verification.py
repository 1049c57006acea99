"""Whether the stored bytes of a version are those it was registered with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from registry_service.ledger import REGISTRY, Draft
from registry_service.records import VersionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from registry_service.canonical_json import JsonObject
    from registry_service.records import File, Version
    from registry_service.store import RegistryStore


def find_fault(files: Iterable[File], recompute: Callable[[str], str | None]) -> str:
    """Compute the digest of every stored file anew.

    Args:
        files: The files of a version.
        recompute: The digest of the bytes that are stored under a digest; None without any.

    Returns:
        What is wrong with the first file that is not as it should be; empty when all are.
    """
    actual_digests: dict[str, str | None] = {}
    for file in files:
        if file.digest not in actual_digests:
            actual_digests[file.digest] = recompute(file.digest)
        actual = actual_digests[file.digest]
        if actual is None:
            return f"{file.path}: no bytes are stored under sha256:{file.digest}"
        if actual != file.digest:
            return f"{file.path}: the stored bytes have sha256:{actual}, not sha256:{file.digest}"
    return ""


def conclude(store: RegistryStore, name: str, fault: str) -> Version | None:
    """Make a pending version READY, or FAILED when there is a fault.

    Returns:
        The version as it is now; None when it was deleted meanwhile.
    """
    store.models.hold(name.rsplit("/versions/", 1)[0])
    version = store.versions.find(name)
    if version is None or version.state is not VersionState.PENDING:
        return version
    state = VersionState.FAILED if fault else VersionState.READY
    content: JsonObject = {
        "version_uid": version.uid,
        "before": {"state": version.state.name},
        "after": {"state": state.name},
    }
    entry = store.ledger.append(
        Draft(
            actor=REGISTRY,
            action="version.verify",
            resource=version.name,
            content=content,
            reason=fault,
            caused_by=version.create_position,
        )
    )
    verified = replace(
        version,
        state=state,
        state_reason=fault,
        update_us=entry.create_us,
        change_position=entry.position,
    )
    store.versions.save(verified)
    return verified
