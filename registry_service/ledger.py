"""The ledger: what was done to the registry, in order, each entry sealed over the one before.

Every change of the registry appends an entry in its own transaction. Position and time are given
while the head of the ledger is locked, so both only ever grow, whatever the clocks do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from registry_service.canonical_json import canonical_json
from service_chassis.caller import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry_service.canonical_json import JsonObject

SALT_BYTES = 16

# The registry itself, for what it does without being asked.
REGISTRY = Principal(
    id="service:studbook:registry", kind="service", display_name="Studbook registry"
)

# Who an actor is once his or her data was erased.
ERASED = Principal(id="erased", kind="")


class Outcome(IntEnum):
    """Whether something was done or refused; the numbers are those of the contract."""

    DONE = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has its place.

    Attributes:
        actor: Who did it.
        action: What, e.g. `version.transition`.
        resource: Name of what it was done to.
        content: State before and after, and all else that belongs to the action.
        reason: Why, in the caller's words; for a refusal, why it was refused.
        outcome: Whether it was done.
        caused_by: Position of the entry that caused it; 0 when none did.
    """

    actor: Principal
    action: str
    resource: str
    content: JsonObject = field(default_factory=dict)
    reason: str = ""
    outcome: Outcome = Outcome.DONE
    caused_by: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry in its place. `actor_salt` is empty once the actor was erased."""

    position: int
    create_us: int
    actor: Principal
    actor_digest: bytes
    actor_salt: bytes
    action: str
    resource: str
    outcome: Outcome
    reason: str
    content_json: str
    caused_by: int
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends.

    Attributes:
        position: Position of the last entry.
        hash: Its hash.
        settled_us: No entry will ever be given this time or an earlier one.
    """

    position: int
    hash: bytes
    settled_us: int


START = Head(position=0, hash=bytes(32), settled_us=0)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first entry that does not fit, and why."""

    position: int
    problem: str


def seal(head: Head, draft: Draft, now_us: int, salt: bytes) -> Entry:
    """Give a draft its place behind the head."""
    actor_digest = digest_actor(draft.actor, salt)
    position = head.position + 1
    create_us = max(now_us, head.settled_us + 1)
    content_json = canonical_json(draft.content)
    sealed = _hash(
        head.hash,
        position=position,
        create_us=create_us,
        actor_digest=actor_digest,
        action=draft.action,
        resource=draft.resource,
        outcome=draft.outcome,
        reason=draft.reason,
        content_json=content_json,
        caused_by=draft.caused_by,
    )
    return Entry(
        position=position,
        create_us=create_us,
        actor=draft.actor,
        actor_digest=actor_digest,
        actor_salt=salt,
        action=draft.action,
        resource=draft.resource,
        outcome=draft.outcome,
        reason=draft.reason,
        content_json=content_json,
        caused_by=draft.caused_by,
        previous_hash=head.hash,
        hash=sealed,
    )


def digest_actor(actor: Principal, salt: bytes) -> bytes:
    """What the chain holds of an actor: a digest that says nothing once the salt is gone."""
    return hashlib.sha256(salt + actor_json(actor).encode()).digest()


def actor_json(actor: Principal) -> str:
    """An actor as canonical JSON, in the words of the contract."""
    return canonical_json(
        {
            "display_name": actor.display_name,
            "id": actor.id,
            "issuer": actor.issuer,
            "kind": actor.kind.upper(),
            "pipeline_claims": actor.pipeline_claims,
            "subject": actor.subject,
            "token_id": actor.token_id,
        }
    )


def verify_chain(entries: Iterable[Entry], after: Head = START) -> Fault | None:
    """Check that entries follow each other without a gap and that none was altered.

    Args:
        entries: Entries in order of position, beginning with the one after `after`.
        after: Where the part that was checked before ends.

    Returns:
        The first entry that does not fit, or None.
    """
    position, previous, last_us = after.position, after.hash, after.settled_us
    for entry in entries:
        problem = _problem(entry, position, previous, last_us)
        if problem:
            return Fault(entry.position, problem)
        position, previous, last_us = entry.position, entry.hash, entry.create_us
    return None


def _problem(entry: Entry, position: int, previous: bytes, last_us: int) -> str:
    problem = ""
    if entry.position != position + 1:
        problem = f"it follows entry {position}, so its position should be {position + 1}"
    elif entry.previous_hash != previous:
        problem = "its previous_hash is not the hash of the entry before"
    elif entry.create_us <= last_us:
        problem = "its time is not later than that of the entry before"
    elif entry.hash != _rehash(entry):
        problem = "its hash does not fit its content"
    elif entry.actor_salt and digest_actor(entry.actor, entry.actor_salt) != entry.actor_digest:
        problem = "its actor does not fit its actor_digest"
    elif not entry.actor_salt and entry.actor != ERASED:
        problem = "its actor cannot be checked without the salt"
    return problem


def _rehash(entry: Entry) -> bytes:
    return _hash(
        entry.previous_hash,
        position=entry.position,
        create_us=entry.create_us,
        actor_digest=entry.actor_digest,
        action=entry.action,
        resource=entry.resource,
        outcome=entry.outcome,
        reason=entry.reason,
        content_json=entry.content_json,
        caused_by=entry.caused_by,
    )


def _hash(
    previous_hash: bytes,
    *,
    position: int,
    create_us: int,
    actor_digest: bytes,
    action: str,
    resource: str,
    outcome: Outcome,
    reason: str,
    content_json: str,
    caused_by: int,
) -> bytes:
    text = canonical_json(
        {
            "action": action,
            "actor_digest": actor_digest.hex(),
            "caused_by": caused_by,
            "content_json": content_json,
            "create_time": create_us,
            "outcome": outcome.name,
            "position": position,
            "reason": reason,
            "resource": resource,
        }
    )
    return hashlib.sha256(previous_hash + text.encode()).digest()
