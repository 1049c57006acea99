"""Requests for transitions and reviews, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_service.ledger import Entry
    from service_chassis.caller import Principal


class Decision(IntEnum):
    """What a review says; the numbers are those of the contract."""

    APPROVE = 1
    REJECT = 2


class Ending(IntEnum):
    """How a request ended; the numbers are those of its state in the contract."""

    APPLIED = 5
    REJECTED = 6
    CANCELLED = 7


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said.

    Attributes:
        position: Position of its ledger entry.
        groups: Those of the reviewer's groups that a policy asked for then.
        reviewed_digest: Digest of what was reviewed.
    """

    position: int
    reviewer: Principal
    groups: tuple[str, ...]
    decision: Decision
    comment: str
    reviewed_digest: str
    create_us: int


@dataclass(frozen=True, slots=True)
class TransitionRequest:
    """A wish that a version enter Production.

    Attributes:
        position: Position of its ledger entry, by which it is named.
        every_review: All reviews, oldest first, also those that were replaced.
        ending: How it ended; None while it is open.
    """

    position: int
    model: str
    version_uid: str
    version: str
    requester: Principal
    reason: str
    create_us: int
    every_review: tuple[Review, ...] = ()
    ending: Ending | None = None
    end_us: int | None = None
    end_position: int = 0

    @property
    def name(self) -> str:
        """Resource name."""
        return f"{self.model}/requests/{self.position}"

    @property
    def reviews(self) -> tuple[Review, ...]:
        """The latest review of each person, oldest first."""
        latest = {review.reviewer.id: review for review in self.every_review}
        return tuple(sorted(latest.values(), key=lambda review: review.position))

    def ended(self, ending: Ending, entry: Entry) -> TransitionRequest:
        """The request as it ended with an entry of the ledger."""
        return replace(self, ending=ending, end_us=entry.create_us, end_position=entry.position)
