"""The chain of the ledger: how an entry is sealed over the one before, and how that is checked.

Registry and clients share it, so that a client can check what a registry tells of itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from json.encoder import encode_basestring as _text
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from studbook.checkpoints import Checkpoint

NO_HASH = bytes(32)
ERASE_PERSON = "person.erase"
DONE = "DONE"


class Link(NamedTuple):
    """An entry of the ledger as the chain sees it; see `studbook.registry.v1.LedgerEntry`.

    A tuple, because there may be millions, and rows of a database are tuples.

    Attributes:
        create_us: Its time, in microseconds since 1970-01-01 UTC.
        actor_json: The actor as canonical JSON.
        outcome: `DONE` or `REFUSED`.
    """

    position: int
    create_us: int
    actor_json: str
    actor_digest: bytes
    actor_salt: bytes
    erased_by: int
    action: str
    resource: str
    outcome: str
    reason: str
    content_json: str
    caused_by: int
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The first entry that does not fit, and why."""

    position: int
    problem: str


def entry_hash(
    previous_hash: bytes,
    *,
    position: int,
    create_us: int,
    actor_digest: bytes,
    action: str,
    resource: str,
    outcome: str,
    reason: str,
    content_json: str,
    caused_by: int,
) -> bytes:
    """The hash of an entry, over the hash before and the entry as canonical JSON (RFC 8785).

    The JSON is put together by hand: its members are known, and this takes a fifth of the time.
    """
    text = (
        f'{{"action":{_text(action)},"actor_digest":"{actor_digest.hex()}",'
        f'"caused_by":{caused_by},"content_json":{_text(content_json)},'
        f'"create_time":{create_us},"outcome":{_text(outcome)},"position":{position},'
        f'"reason":{_text(reason)},"resource":{_text(resource)}}}'
    )
    return hashlib.sha256(previous_hash + text.encode()).digest()


def actor_json(
    *,
    id: str,  # noqa: A002 - the names are those of the contract
    kind: str,
    display_name: str = "",
    issuer: str = "",
    subject: str = "",
    token_id: str = "",
    pipeline_claims: Mapping[str, str] | None = None,
) -> str:
    """An actor as canonical JSON, in the words of the contract; `kind` without its prefix."""
    claims = pipeline_claims or {}
    # RFC 8785 sorts by UTF-16 code units.
    names = sorted(claims, key=lambda name: name.encode("utf-16-be"))
    pairs = ",".join(f"{_text(name)}:{_text(claims[name])}" for name in names)
    return (
        f'{{"display_name":{_text(display_name)},"id":{_text(id)},"issuer":{_text(issuer)},'
        f'"kind":{_text(kind)},"pipeline_claims":{{{pairs}}},"subject":{_text(subject)},'
        f'"token_id":{_text(token_id)}}}'
    )


ERASED_ID = "erased"
ERASED_JSON = actor_json(id=ERASED_ID, kind="")


def actor_digest(salt: bytes, actor: str) -> bytes:
    """What the chain holds of an actor: a digest that says nothing once the salt is gone."""
    return hashlib.sha256(salt + actor.encode()).digest()


class Erasure:
    """Which entries lost their actor by one erasure; added in order of position."""

    def __init__(self) -> None:
        self.first = 0
        self.entries = 0
        self._digest = hashlib.sha256()

    def add(self, position: int) -> None:
        """Count an entry."""
        self.first = self.first or position
        self.entries += 1
        self._digest.update(b"%d\n" % position)

    @property
    def positions_digest(self) -> str:
        """`sha256:` and the digest over all positions."""
        return f"sha256:{self._digest.hexdigest()}"


class Chain:
    """Follows the ledger from some entry on, and finds the first one that does not fit.

    Args:
        checkpoints: What the registry stated of the ledger, their signatures verified.
        erased_up_to: Erasures by entries behind this position are not compared: they may have been
            made while the ledger was being read.
        position: Where the part that was checked before ends; 0 to begin at the beginning.
        previous: Hash of the entry there.
        last_us: Its time.

    Attributes:
        position: Position of the last entry that fits.
        hash: Its hash.
        last_us: What follows must be later, in microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint] = (),
        *,
        erased_up_to: int = 0,
        position: int = 0,
        previous: bytes = NO_HASH,
        last_us: int = 0,
    ) -> None:
        self.position = position
        self.hash = previous
        self.last_us = last_us
        self._erased_up_to = erased_up_to
        self._erasures: dict[int, Erasure] = {}
        self._stated: dict[int, list[Checkpoint]] = {}
        for checkpoint in checkpoints:
            self._stated.setdefault(checkpoint.position, []).append(checkpoint)

    def follow(self, link: Link) -> Fault | None:
        """Take the next entry. After a fault the chain must not be followed any further."""
        problem = self._problem(link)
        if problem:
            return Fault(link.position, problem)
        self.position, self.hash, self.last_us = link.position, link.hash, link.create_us
        for checkpoint in self._stated.pop(link.position, ()):
            if checkpoint.hash != link.hash:
                return Fault(link.position, "its hash is another one than a checkpoint has of it")
            # Whoever made the checkpoint promised that nothing would be entered before its time.
            self.last_us = max(self.last_us, checkpoint.time_us)
        return None

    def finish(self) -> Fault | None:
        """Say that the end is reached."""
        if self._erasures:
            entry, erasure = min(self._erasures.items(), key=lambda item: item[1].first)
            return Fault(erasure.first, f"its actor is missing, and entry {entry} erased nobody")
        if self._stated:
            problem = f"it is missing: the ledger went up to {max(self._stated)} for a checkpoint"
            return Fault(self.position + 1, problem)
        return None

    def _problem(self, link: Link) -> str:
        problem = ""
        if link.position != self.position + 1:
            before = f"entry {self.position}" if self.position else "the beginning"
            problem = f"it follows {before}, so its position should be {self.position + 1}"
        elif link.previous_hash != self.hash:
            problem = "its previous_hash is not the hash of the entry before"
        elif link.create_us <= self.last_us:
            problem = "its time is not later than that of the entry, or checkpoint, before"
        elif link.hash != link_hash(link):
            problem = "its hash does not fit its content"
        elif not link.actor_salt:
            problem = self._erased(link)
        elif actor_digest(link.actor_salt, link.actor_json) != link.actor_digest:
            problem = "its actor does not fit its actor_digest"
        elif link.erased_by:
            problem = "its actor is there, but marked as erased"
        if not problem and link.action == ERASE_PERSON and link.outcome == DONE:
            problem = self._compare(link)
        return problem

    def _erased(self, link: Link) -> str:
        if link.actor_json != ERASED_JSON:
            return "its actor cannot be checked without the salt"
        if link.erased_by <= link.position:
            return "its actor is missing, and no later entry erased it"
        self._erasures.setdefault(link.erased_by, Erasure()).add(link.position)
        return ""

    def _compare(self, link: Link) -> str:
        found = self._erasures.pop(link.position, Erasure())
        if link.position > self._erased_up_to:
            return ""
        stated = json.loads(link.content_json)
        if (stated["entries"], stated["positions_digest"]) == (
            found.entries,
            found.positions_digest,
        ):
            return ""
        return "it says that it erased other actors than those that are missing because of it"


def link_hash(link: Link) -> bytes:
    """The hash that an entry should have."""
    return entry_hash(
        link.previous_hash,
        position=link.position,
        create_us=link.create_us,
        actor_digest=link.actor_digest,
        action=link.action,
        resource=link.resource,
        outcome=link.outcome,
        reason=link.reason,
        content_json=link.content_json,
        caused_by=link.caused_by,
    )
