"""What aliases name and named, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service_chassis.caller import Principal


@dataclass(frozen=True, slots=True)
class AliasStay:
    """Which version an alias named: from `start_us` up to but not including `end_us`.

    Attributes:
        position: Ledger position of the entry by which it came to name it.
    """

    position: int
    model: str
    alias: str
    version_uid: str
    version: str
    reason: str
    actor: Principal
    start_us: int
    end_us: int | None = None

    @property
    def etag(self) -> str:
        """Changes whenever the alias comes to name another version."""
        return f"{self.version_uid[:12]}-{self.position}"
