"""Rows of the tables that hold what was logged into runs, by run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class HeldRows:
    """What runs hold of one kind; made once, as making a statement takes longer than running it.

    Args:
        select: Selects the rows of all runs.
        table: The table with a column `run`, and perhaps one `key`, that rows are picked by.
    """

    def __init__(self, select: sa.Select[Any], table: sa.Table) -> None:
        several = select.where(table.c.run.in_(sa.bindparam("run_keys", expanding=True)))
        # Most are read of one run, and a list of values is written into a statement each time.
        self._of_one = select.where(table.c.run == sa.bindparam("run_key"))
        self._of_several = several
        self._under_keys = several
        if "key" in table.c:
            wanted = table.c.key.in_(sa.bindparam("wanted_keys", expanding=True))
            self._under_keys = several.where(wanted)

    def read(
        self,
        connection: sa.Connection,
        runs: Collection[int],
        wanted: Collection[str] | None = None,
    ) -> Sequence[Any]:
        """The rows of runs; of those that have keys, only the wanted ones if they are said."""
        bound: dict[str, Any]
        if wanted is not None:
            statement, bound = self._under_keys, {"run_keys": runs, "wanted_keys": wanted}
        elif len(runs) == 1:
            (run,) = runs
            statement, bound = self._of_one, {"run_key": run}
        else:
            statement, bound = self._of_several, {"run_keys": runs}
        # All at once: a row at a time costs as much again.
        return connection.execute(statement, bound).all()
