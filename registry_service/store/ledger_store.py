"""The ledger's tables."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service import ledger as chain
from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors, ledger, ledger_head
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from service_chassis.listing import PageRequest

FIELDS = FieldTable(
    {
        "position": Field(ledger.c.position, Kind.INTEGER),
        "create_time": Field(ledger.c.create_us, Kind.TIMESTAMP),
        "action": Field(ledger.c.action, Kind.TEXT),
        "resource": Field(ledger.c.resource, Kind.TEXT),
        "actor": Field(actors.c.actor, Kind.TEXT),
        "outcome": Field(
            ledger.c.outcome, Kind.ENUM, values={item.name: item for item in chain.Outcome}
        ),
    },
    sortable=frozenset({"position"}),
)

_ENTRIES = sa.select(ledger, actors.c.salt, actors.c.principal_json, actors.c.erased_by).join_from(
    ledger, actors, actors.c.position == ledger.c.position
)
# Made once: making a statement takes longer than running it.
_HEAD = sa.select(ledger_head)
_LOCKED_HEAD = _HEAD.with_for_update()
_ADD_ENTRY = ledger.insert()
_ADD_ACTOR = actors.insert()
_MOVE_HEAD = ledger_head.update().values(
    {name: sa.bindparam(f"new_{name}") for name in ("position", "hash", "settled_us")}
)


def entry_row(entry: chain.Entry) -> dict[str, Any]:
    """An entry's row in `ledger`."""
    workspace, model = chain.scope_of(entry.resource)
    return {
        "position": entry.position,
        "create_us": entry.create_us,
        "workspace": workspace,
        "model": model,
        "actor_digest": entry.actor_digest,
        "action": entry.action,
        "resource": entry.resource,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "content_json": entry.content_json,
        "caused_by": entry.caused_by,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def actor_row(entry: chain.Entry) -> dict[str, Any]:
    """The row in `actors` of an entry."""
    return {
        "position": entry.position,
        "actor": entry.actor.id,
        "salt": entry.actor_salt,
        "principal_json": chain.actor_json(entry.actor),
    }


class LedgerStore:
    """Appends to the ledger and reads it.

    Attributes:
        appended: Whether anything was appended through this object.
    """

    def __init__(self, connection: sa.Connection, clock: Callable[[], int]) -> None:
        self._connection = connection
        self._clock = clock
        # Where the ledger ends, once that cannot change but by this transaction.
        self._locked: chain.Head | None = None
        self.appended = False

    def head(self) -> chain.Head:
        """Where the ledger ends, as far as this transaction sees."""
        return _head(self._connection.execute(_HEAD).one())

    def lock(self) -> chain.Head:
        """Where the ledger ends; nobody else appends until this transaction is over."""
        if self._locked is None:
            self._locked = _head(self._connection.execute(_LOCKED_HEAD).one())
        return self._locked

    def append(self, draft: chain.Draft) -> chain.Entry:
        """Enter something at the end of the ledger."""
        entry = chain.seal(self.lock(), draft, self._clock(), secrets.token_bytes(chain.SALT_BYTES))
        self._connection.execute(_ADD_ENTRY, entry_row(entry))
        self._connection.execute(_ADD_ACTOR, actor_row(entry))
        self._move_head(chain.Head(entry.position, entry.hash, entry.create_us))
        self.appended = True
        return entry

    def settle(self, us: int) -> None:
        """Promise that no later entry will bear this time or an earlier one."""
        head = self.lock()
        if head.settled_us < us:
            self._move_head(replace(head, settled_us=us))

    def _move_head(self, head: chain.Head) -> None:
        self._connection.execute(
            _MOVE_HEAD,
            {
                "new_position": head.position,
                "new_hash": head.hash,
                "new_settled_us": head.settled_us,
            },
        )
        self._locked = head

    def time_of(self, position: int) -> int:
        """When the entry at a position was made."""
        query = sa.select(ledger.c.create_us).where(ledger.c.position == position)
        us: int = self._connection.execute(query).scalar_one()
        return us

    def entries(self, after_position: int = 0) -> Iterator[chain.Entry]:
        """All entries behind a position, in order."""
        found = self._connection.execute(
            _ENTRIES.where(ledger.c.position > after_position).order_by(ledger.c.position)
        )
        return map(_entry, found)

    def at(self, position: int) -> chain.Entry | None:
        """The entry at a position."""
        query = _ENTRIES.where(ledger.c.position == position)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _entry(row)

    def done(
        self,
        actions: Collection[str],
        after_position: int,
        *,
        workspace: str = "",
        model: str = "",
        limit: int,
    ) -> list[chain.Entry]:
        """The first entries behind a position that did one of some actions.

        Args:
            actions: The actions.
            after_position: Where to begin, this position not included.
            workspace: Only those of this workspace; empty for all.
            model: Only those of this model; empty for all.
            limit: Most entries.
        """
        query = _ENTRIES.where(
            ledger.c.position > after_position,
            ledger.c.action.in_(actions),
            ledger.c.outcome == chain.Outcome.DONE,
        )
        if model:
            query = query.where(ledger.c.model == model)
        elif workspace:
            query = query.where(ledger.c.workspace == workspace)
        rows = self._connection.execute(query.order_by(ledger.c.position).limit(limit))
        return [_entry(row) for row in rows]

    def page(self, workspace: str, model: str, page: PageRequest) -> tuple[list[chain.Entry], str]:
        """One page of the entries of a workspace or model; of all when both are empty."""
        base = _ENTRIES
        if workspace:
            base = base.where(ledger.c.workspace == workspace)
        if model:
            base = base.where(ledger.c.model == model)
        rows, token = list_page(self._connection, base, page, FIELDS, ledger.c.position)
        return [_entry(row) for row in rows], token


def _head(row: sa.Row[Any]) -> chain.Head:
    return chain.Head(position=row.position, hash=bytes(row.hash), settled_us=row.settled_us)


def _entry(row: sa.Row[Any]) -> chain.Entry:
    return chain.Entry(
        position=row.position,
        create_us=row.create_us,
        actor=read_actor(row.principal_json),
        actor_digest=bytes(row.actor_digest),
        actor_salt=bytes(row.salt),
        action=row.action,
        resource=row.resource,
        outcome=chain.Outcome(row.outcome),
        reason=row.reason,
        content_json=row.content_json,
        caused_by=row.caused_by,
        previous_hash=bytes(row.previous_hash),
        hash=bytes(row.hash),
        erased_by=row.erased_by or 0,
    )
