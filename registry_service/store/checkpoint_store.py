"""The tables of the ledger's identity and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.checkpoint_tables import checkpoints, ledger_identity
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service_chassis.listing import PageRequest

FIELDS = FieldTable(
    {
        "position": Field(checkpoints.c.position, Kind.INTEGER),
        "create_time": Field(checkpoints.c.create_us, Kind.TIMESTAMP),
        "key_id": Field(checkpoints.c.key_id, Kind.TEXT),
    },
    sortable=frozenset({"position"}),
)

_CHECKPOINTS = sa.select(checkpoints)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as it is kept; the envelope says it all, the rest finds it."""

    position: int
    create_us: int
    key_id: str
    envelope: bytes


class CheckpointStore:
    """Reads and writes checkpoints."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def ledger(self) -> str:
        """UUID of the ledger; empty when somebody removed it."""
        query = sa.select(ledger_identity.c.ledger)
        return self._connection.execute(query).scalar_one_or_none() or ""

    def latest(self) -> StoredCheckpoint | None:
        """The checkpoint that covers most."""
        query = _CHECKPOINTS.order_by(checkpoints.c.position.desc()).limit(1)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _checkpoint(row)

    def at(self, position: int) -> StoredCheckpoint | None:
        """The checkpoint at a position."""
        query = _CHECKPOINTS.where(checkpoints.c.position == position)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _checkpoint(row)

    def all(self) -> Iterator[StoredCheckpoint]:
        """Every checkpoint, oldest first."""
        rows = self._connection.execute(_CHECKPOINTS.order_by(checkpoints.c.position))
        return map(_checkpoint, rows)

    def insert(self, checkpoint: StoredCheckpoint) -> None:
        """Add a checkpoint."""
        self._connection.execute(
            checkpoints.insert().values(
                position=checkpoint.position,
                create_us=checkpoint.create_us,
                key_id=checkpoint.key_id,
                envelope=checkpoint.envelope,
            )
        )

    def page(self, page: PageRequest) -> tuple[list[StoredCheckpoint], str]:
        """One page of checkpoints."""
        rows, token = list_page(
            self._connection, _CHECKPOINTS, page, FIELDS, checkpoints.c.position
        )
        return [_checkpoint(row) for row in rows], token


def _checkpoint(row: sa.Row[Any]) -> StoredCheckpoint:
    return StoredCheckpoint(row.position, row.create_us, row.key_id, bytes(row.envelope))
