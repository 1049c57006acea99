"""Changes that are told to those who watch, read from entries of the ledger.

A kind of entry that is to be told gets a function in `READERS`; nothing else has to know of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_service.records import Cause, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from registry_service.ledger import Entry
    from service_chassis.caller import Principal


@dataclass(frozen=True, slots=True)
class StageMove:
    """A version changed its stage.

    Attributes:
        version: Name of the version.
        from_stage: None when it was registered by this change.
        to_stage: None when it was deleted by this change.
        digest: Digest of the version; empty when it was deleted.
    """

    version: str
    from_stage: Stage | None
    to_stage: Stage | None
    cause: Cause
    digest: str = ""


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias came to name another version.

    Attributes:
        name: Resource name of the alias.
        from_version: What it named before; empty for nothing.
        to_version: What it names now; empty for nothing.
        digest: Digest of that; empty for nothing, and where the ledger does not have it.
    """

    name: str
    from_version: str
    to_version: str
    digest: str = ""

    @property
    def alias(self) -> str:
        """The alias itself, e.g. `champion`."""
        return self.name.rpartition("/")[2]


Move = StageMove | AliasMove


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One entry of the ledger, as far as it is told.

    Attributes:
        mark: The beginning of the entry's hash, by which a resume token knows its ledger again.
    """

    position: int
    mark: str
    create_us: int
    model: str
    move: Move
    actor: Principal
    reason: str


def mark_of(entry_hash: bytes) -> str:
    """The beginning of an entry's hash; enough to tell one ledger from another."""
    return entry_hash[:8].hex()


def read_change(entry: Entry) -> Change | None:
    """What an entry that was done tells to those who watch, None for nothing."""
    content = json.loads(entry.content_json)
    move = READERS[entry.action](entry.resource, content)
    if move is None:
        return None
    return Change(
        position=entry.position,
        mark=mark_of(entry.hash),
        create_us=entry.create_us,
        model="/".join(entry.resource.split("/")[:4]),
        move=move,
        actor=entry.actor,
        reason=entry.reason,
    )


def _transition(version: str, content: Mapping[str, Any]) -> StageMove:
    return StageMove(
        version,
        Stage[content["before"]["stage"]],
        Stage[content["after"]["stage"]],
        Cause[content["cause"]],
        content["version_digest"],
    )


def _registration(version: str, content: Mapping[str, Any]) -> StageMove:
    return StageMove(version, None, Stage.NONE, Cause.REGISTERED, content["after"]["digest"])


def _deletion(version: str, content: Mapping[str, Any]) -> StageMove:
    return StageMove(version, Stage[content["before"]["stage"]], None, Cause.REQUESTED)


def _alias(name: str, content: Mapping[str, Any]) -> AliasMove:
    before, after = content["before"] or {}, content["after"] or {}
    # The first entries of old ledgers have none.
    digest = content.get("version_digest", "") if after else ""
    return AliasMove(name, before.get("version", ""), after.get("version", ""), digest)


READERS: Mapping[str, Callable[[str, Mapping[str, Any]], Move | None]] = {
    "version.transition": _transition,
    "version.create": _registration,
    "version.delete": _deletion,
    "alias.set": _alias,
    "alias.delete": _alias,
}
# The entries that are worth reading.
ACTIONS = tuple(READERS)
