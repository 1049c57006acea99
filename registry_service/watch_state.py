"""The state that a watch begins with, and whether one can be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from registry_service.ledger import START
from registry_service.records import Stage
from registry_service.watch_changes import mark_of
from registry_service.watch_interest import Sight, sight_of
from service_chassis.errors import Code, StudbookError, not_found

if TYPE_CHECKING:
    from registry_service.store import RegistryStore
    from registry_service.watch_interest import Interest
    from registry_service.watch_records import StandingAlias, StandingVersion
    from service_chassis.caller import Caller


@dataclass(frozen=True, slots=True)
class State:
    """How all that is watched stands, after the entry at a position of the ledger."""

    versions: tuple[StandingVersion, ...]
    aliases: tuple[StandingAlias, ...]
    position: int
    mark: str


def read_state(store: RegistryStore, caller: Caller, interest: Interest) -> State:
    """How all stands that is watched and that the caller may see.

    Raises:
        StudbookError: NOT_FOUND for the one model that is named.
    """
    if interest.model and store.models.uid(interest.model) is None:
        raise not_found(interest.model)

    @cache
    def sight(model: str) -> Sight:
        return sight_of(caller, model) if interest.wants_model(model) else Sight.NOTHING

    versions: tuple[StandingVersion, ...] = ()
    if interest.everything or interest.stages:
        versions = tuple(
            standing
            for standing in store.standing.versions(
                interest.workspace, interest.model, interest.stages
            )
            if sight(standing.model) is Sight.ALL
            or (standing.stage is Stage.PRODUCTION and sight(standing.model) is Sight.PRODUCTION)
        )
    aliases: tuple[StandingAlias, ...] = ()
    if interest.everything or interest.aliases:
        aliases = tuple(
            standing
            for standing in store.standing.aliases(interest.workspace, interest.model)
            if interest.wants_alias(standing.alias) and sight(standing.model) is Sight.ALL
        )
    head = store.ledger.head()
    return State(versions, aliases, head.position, mark_of(head.hash))


def check_reach(store: RegistryStore, position: int, mark: str, since_us: int) -> None:
    """Make sure that all that happened behind a position can still be told.

    Args:
        store: The tables.
        position: Up to where the watcher has been told.
        mark: The mark of the entry there.
        since_us: Changes before this moment are not told any more.

    Raises:
        StudbookError: RESUME_TOKEN_TOO_OLD, also when the ledger is another one, because an older
            copy of the database was put back.
    """
    here = store.ledger.at(position)
    here_hash = here.hash if here is not None else START.hash if position == 0 else b""
    following = store.ledger.at(position + 1)
    if mark_of(here_hash) != mark:
        problem = "the ledger does not hold what the token speaks of"
    elif following is not None and following.create_us < since_us:
        problem = "what has happened since is too long ago to be told"
    else:
        return
    raise StudbookError(
        Code.OUT_OF_RANGE,
        "RESUME_TOKEN_TOO_OLD",
        f"resume_token is for position {position}, and {problem}; begin anew without a token.",
        metadata={"position": str(position)},
    )
