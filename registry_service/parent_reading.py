"""Parents as a request names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry_service.names import parse_version_name
from registry_service.parents import ParentWish
from service_chassis.errors import invalid_field, required_field
from service_chassis.validation import check_count, check_digest, check_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studbook.registry.v1.lineage_pb2 import LineageParent

MOST_PARENTS = 16
LONGEST_URI = 2048
# A scheme, and then anything that needs no escaping to be seen.
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+")


def read_parents(parents: Sequence[LineageParent]) -> tuple[ParentWish, ...]:
    """Read the parents that a request names.

    Raises:
        StudbookError: FIELD_REQUIRED, FIELD_INVALID, RESOURCE_NAME_INVALID or VERSION_INVALID.
    """
    check_count(parents, "parents", MOST_PARENTS)
    wishes = tuple(_read(parent, f"parents[{index}]") for index, parent in enumerate(parents))
    named = [(wish.version, wish.uri) for wish in wishes]
    for index, name in enumerate(named):
        if name in named[:index]:
            raise invalid_field(f"parents[{index}]", "".join(name), "name each parent once")
    return wishes


def _read(parent: LineageParent, field: str) -> ParentWish:
    if parent.version and parent.uri:
        raise invalid_field(f"{field}.uri", parent.uri, "leave it empty beside a version")
    if parent.version:
        version = str(parse_version_name(parent.version, f"{field}.version"))
        digest = check_digest(parent.digest, f"{field}.digest") if parent.digest else ""
        return ParentWish(field, version, "", digest)
    if not parent.uri:
        raise required_field(f"{field}.version", "name a version, or give uri and digest of a base")
    uri = check_text(parent.uri, f"{field}.uri", LONGEST_URI)
    if not _URI.fullmatch(uri):
        raise invalid_field(
            f"{field}.uri", uri, "give a URI with its scheme, in ASCII and without spaces"
        )
    return ParentWish(field, "", uri, check_digest(parent.digest, f"{field}.digest"))
