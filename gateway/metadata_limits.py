"""How much a client may send beside its messages.

gRPC has limits of its own, and forgets what it counted where a client sends its headers in several
frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import Code, StudbookError

if TYPE_CHECKING:
    from service_chassis.caller import Metadata

# As HTTP/2 counts an entry, RFC 9113 section 6.5.2.
_OF_EACH = 32


@dataclass(frozen=True)
class MetadataLimits:
    """The most metadata of a call.

    Attributes:
        bytes: Names and values, and 32 bytes more for each entry.
        entries: How many there may be.
    """

    bytes: int
    entries: int

    def check(self, metadata: Metadata) -> None:
        """Refuse a call with more.

        Raises:
            StudbookError: METADATA_TOO_LARGE.
        """
        if len(metadata) > self.entries:
            raise _too_large("entries", len(metadata), self.entries)
        size = sum(len(name) + len(value) + _OF_EACH for name, value in metadata)
        if size > self.bytes:
            raise _too_large("bytes", size, self.bytes)


def _too_large(of_what: str, found: int, allowed: int) -> StudbookError:
    return StudbookError(
        Code.RESOURCE_EXHAUSTED,
        "METADATA_TOO_LARGE",
        f"The call has {found} {of_what} of metadata; send at most {allowed}.",
        metadata={"limit": f"metadata_{of_what}", "found": str(found), "allowed": str(allowed)},
    )
