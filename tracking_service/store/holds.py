"""Queries on holds: which model versions rest on which runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from tracking_service.records import Hold, HoldLevel
from tracking_service.tables import holds

if TYPE_CHECKING:
    from collections.abc import Sequence


class HoldStore:
    """Holds within one transaction. The run must be locked by whoever decides by them."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of_run(self, run: int) -> Sequence[Hold]:
        """The holds on a run, the oldest first."""
        statement = (
            sa.select(holds).where(holds.c.run == run).order_by(holds.c.create_time, holds.c.holder)
        )
        return [
            Hold(holder=row.holder, level=HoldLevel(row.level))
            for row in self._connection.execute(statement)
        ]

    def add(self, run: int, hold: Hold, now: int) -> None:
        """Store a hold of a holder that has none on this run."""
        self._connection.execute(
            holds.insert().values(
                run=run, holder=hold.holder, level=int(hold.level), create_time=now
            )
        )

    def raise_level(self, run: int, hold: Hold) -> None:
        """Store the stronger level of a holder that has a hold on this run."""
        self._connection.execute(
            holds.update()
            .where(holds.c.run == run, holds.c.holder == hold.holder)
            .values(level=int(hold.level))
        )
