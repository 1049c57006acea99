"""What the training of a version began from: found when it is registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.records import Parent
from service_chassis.errors import invalid_field, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.store import RegistryStore


@dataclass(frozen=True, slots=True)
class ParentWish:
    """A parent as named by whoever registers a version.

    Attributes:
        field: The field of the request that names it.
        version: Name of a version; empty for a base from elsewhere.
        uri: Where a base from elsewhere is found.
        digest: Its digest; of a version empty, or the one that it must have.
    """

    field: str
    version: str
    uri: str
    digest: str


def find_parents(store: RegistryStore, wishes: Sequence[ParentWish]) -> tuple[Parent, ...]:
    """The parents that were named, each with its digest.

    What has a parent is registered after it, so no version can become its own ancestor.

    Raises:
        StudbookError: NOT_FOUND for a version; FIELD_INVALID when it has another digest.
    """
    return tuple(_find(store, wish) for wish in wishes)


def _find(store: RegistryStore, wish: ParentWish) -> Parent:
    if not wish.version:
        return Parent("", "", wish.uri, wish.digest)
    version = store.versions.find(wish.version)
    if version is None:
        raise not_found(wish.version)
    if wish.digest not in {"", version.digest}:
        raise invalid_field(
            f"{wish.field}.digest",
            f"sha256:{wish.digest}",
            f"{version.name} has sha256:{version.digest}",
        )
    return Parent(version.name, version.uid, "", version.digest)
