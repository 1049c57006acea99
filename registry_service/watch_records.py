"""What watches are about, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_service.records import Stage


@dataclass(frozen=True, slots=True)
class StandingVersion:
    """A version and where it stands; `position` is that of the entry that put it there."""

    model: str
    version: str
    stage: Stage
    since_us: int
    digest: str
    position: int


@dataclass(frozen=True, slots=True)
class StandingAlias:
    """An alias and what it names; `position` is that of the entry that made it so."""

    model: str
    alias: str
    version: str
    since_us: int
    digest: str
    position: int


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How long watches last, and how far back they reach.

    Attributes:
        longest_s: After how many seconds a watch ends, so that permissions are looked at anew.
        replay_us: How old changes may be that a resumed watch still tells, in microseconds.
    """

    longest_s: float
    replay_us: int
