"""The ledger: what was done to the registry, in order, each entry sealed over the one before.

Every change of the registry appends an entry in its own transaction. Position and time are given
while the head of the ledger is locked, so both only ever grow, whatever the clocks do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from registry_service.canonical_json import canonical_json
from service_chassis.caller import Principal
from studbook import ledger_chain
from studbook.ledger_chain import Chain, Link, entry_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry_service.canonical_json import JsonObject
    from studbook.ledger_chain import Fault

SALT_BYTES = 16

# The registry itself, for what it does without being asked.
REGISTRY = Principal(
    id="service:studbook:registry", kind="service", display_name="Studbook registry"
)

# Who an actor is once his or her data was erased.
ERASED = Principal(id=ledger_chain.ERASED_ID, kind="")


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
    """An entry in its place.

    `actor_salt` is empty once the actor was erased, by the entry at `erased_by`.
    """

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
    erased_by: int = 0


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


def seal(head: Head, draft: Draft, now_us: int, salt: bytes) -> Entry:
    """Give a draft its place behind the head."""
    actor_digest = digest_actor(draft.actor, salt)
    position = head.position + 1
    create_us = max(now_us, head.settled_us + 1)
    content_json = canonical_json(draft.content)
    sealed = entry_hash(
        head.hash,
        position=position,
        create_us=create_us,
        actor_digest=actor_digest,
        action=draft.action,
        resource=draft.resource,
        outcome=draft.outcome.name,
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


@lru_cache(maxsize=4096)
def scope_of(resource: str) -> tuple[str, str]:
    """The workspace id and the model's name in a resource name; empty where it has none."""
    parts = resource.split("/")
    return parts[1], "/".join(parts[:4]) if len(parts) >= 4 else ""


def digest_actor(actor: Principal, salt: bytes) -> bytes:
    """What the chain holds of an actor: a digest that says nothing once the salt is gone."""
    return ledger_chain.actor_digest(salt, actor_json(actor))


def actor_json(actor: Principal) -> str:
    """An actor as canonical JSON, in the words of the contract."""
    return ledger_chain.actor_json(
        id=actor.id,
        kind=actor.kind.upper(),
        display_name=actor.display_name,
        issuer=actor.issuer,
        subject=actor.subject,
        token_id=actor.token_id,
        pipeline_claims=actor.pipeline_claims,
    )


def verify_chain(entries: Iterable[Entry], after: Head = START) -> Fault | None:
    """Check that entries follow each other without a gap and that none was altered.

    Signed checkpoints, the actors that were erased and the other tables are `ledger_audit`'s.

    Args:
        entries: Entries in order of position, beginning with the one after `after`.
        after: Where the part that was checked before ends.

    Returns:
        The first entry that does not fit, or None.
    """
    chain = Chain(position=after.position, previous=after.hash, last_us=after.settled_us)
    for entry in entries:
        fault = chain.follow(link_of(entry))
        if fault is not None:
            return fault
    return None


def link_of(entry: Entry) -> Link:
    """An entry as the chain sees it."""
    return Link(
        position=entry.position,
        create_us=entry.create_us,
        actor_json=actor_json(entry.actor),
        actor_digest=entry.actor_digest,
        actor_salt=entry.actor_salt,
        erased_by=entry.erased_by,
        action=entry.action,
        resource=entry.resource,
        outcome=entry.outcome.name,
        reason=entry.reason,
        content_json=entry.content_json,
        caused_by=entry.caused_by,
        previous_hash=entry.previous_hash,
        hash=entry.hash,
    )
