"""How the rows of a page are found.

A list that is sorted by a field of another table is walked along that table's index: first the
rows that have the field, in its order, then those that do not have it, by the next field. A filter
is asked of each row on the way. Where few rows meet one of its conditions, they are looked up and
sorted instead: that is found out before the walk, and again when its first steps found too little.
See docs/adr/0011-two-ways-to-a-page.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_chassis.page_plan import ROW_LIMIT, WALK_END, parameters

if TYPE_CHECKING:
    import sqlalchemy as sa

    from service_chassis.filter_sql import Conjunct
    from service_chassis.page_plan import PagePlan, Position
    from service_chassis.page_tokens import SortValue

# So many rows that meet a condition are looked up at once. Looking up and sorting one costs about
# as much as two steps of a walk; counting one, a tenth of a step.
_FEW = 2_000
# Steps of a walk after which it is judged by what it found.
_FIRST_STEPS = 10_000
# Then, rows that meet a condition are counted up to here.
_MOST_COUNTED = 200_000


class PageQuery:
    """The rows of a list from some position on.

    Args:
        connection: Connection to read with.
        plan: The statements to read with.
    """

    def __init__(self, connection: sa.Connection, plan: PagePlan) -> None:
        self._connection = connection
        self._plan = plan
        self._few: Conjunct | None = None
        # Up to where rows were counted, and what was found.
        self._counted = -1
        self._smallest: tuple[int, Conjunct | None] = (0, None)

    def rows(self, after: Position | None, limit: int) -> list[sa.Row[Any]]:
        """The next rows after a position, None being the beginning."""
        found: list[sa.Row[Any]] = []
        for phase, key in enumerate(self._plan.keys):
            if not key.can_be_walked:
                return found + self._rest(phase, after, limit - len(found))
            if after is not None and not any(value is not None for value in after[: phase + 1]):
                continue
            if self._are_few(_FEW):
                return found + self._looked_up(phase, after, limit - len(found))
            walk = _Walk(self, self._plan, phase, _within_phase(after, phase))
            found += walk.first_steps(limit - len(found))
            if len(found) == limit:
                return found
            if walk.ended:
                continue
            needed = limit - len(found)
            if self._are_few(max(1, _FIRST_STEPS * needed // max(1, walk.found))):
                last = self._plan.position(found[-1]) if walk.found else after
                return found + self._looked_up(phase, last, needed)
            found += walk.the_rest(needed)
            if len(found) == limit:
                return found
        return found

    def run(
        self,
        statement: sa.Select[Any],
        after: Position | None,
        limit: int,
        **more: SortValue,
    ) -> list[sa.Row[Any]]:
        """The first rows of a statement of the plan, after a position in its phase."""
        values = {ROW_LIMIT: limit, **parameters(after), **more}
        return list(self._connection.execute(statement, values).all())

    def _rest(self, phase: int, after: Position | None, limit: int) -> list[sa.Row[Any]]:
        """Rows that have none of the fields that can be walked by, in the order of the others."""
        if self._are_few(_FEW):
            return self._looked_up(phase, after, limit)
        position = _within_phase(after, phase)
        return self.run(self._plan.everything(phase, position), position, limit)

    def _looked_up(self, phase: int, after: Position | None, limit: int) -> list[sa.Row[Any]]:
        """All that is left, found by the rows that meet one condition."""
        if self._few is None:
            return []
        position = _within_phase(after, phase)
        return self.run(self._plan.looked_up(phase, position, self._few), position, limit)

    def _are_few(self, most: int) -> bool:
        """Whether so few rows meet one of the conditions that they can be looked up first."""
        most = min(most, _MOST_COUNTED)
        if self._counted < most:
            self._counted = most
            self._smallest = self._count(most + 1)
        count, conjunct = self._smallest
        self._few = conjunct if count <= most else None
        return self._few is not None

    def _count(self, most: int) -> tuple[int, Conjunct | None]:
        """The condition that the fewest rows meet, and how many do; no more than `most`."""
        countable = self._plan.countable
        if not countable:
            return most, None
        row = self._connection.execute(self._plan.counts(), {ROW_LIMIT: most}).one()
        smallest = min(range(len(countable)), key=lambda index: row[index])
        return row[smallest], countable[smallest]


class _Walk:
    """The rows that have the sort key of a phase, along an index that gives its order."""

    def __init__(
        self, query: PageQuery, plan: PagePlan, phase: int, after: Position | None
    ) -> None:
        self._query = query
        self._plan = plan
        self._phase = phase
        self._after = after
        self._end: SortValue = None
        self.found = 0
        self.ended = False

    def first_steps(self, limit: int) -> list[sa.Row[Any]]:
        """Rows among the first steps; sets `ended` when there are no more steps."""
        where = (self._phase, self._after, _FIRST_STEPS)
        rows = self._query.run(self._plan.first_steps(*where), self._after, limit)
        self.found = len(rows)
        if len(rows) < limit:
            ends = self._query.run(self._plan.end_of_steps(*where), self._after, 1)
            self.ended = not ends
            self._end = ends[0][0] if ends else None
        return rows

    def the_rest(self, limit: int) -> list[sa.Row[Any]]:
        """Rows of the steps after the first ones."""
        statement = self._plan.steps_beyond(self._phase, self._after)
        return self._query.run(statement, self._after, limit, **{WALK_END: self._end})


def _within_phase(after: Position | None, phase: int) -> Position | None:
    """Where to go on in a phase; None is its beginning."""
    if after is None or any(value is not None for value in after[:phase]):
        return None
    return after[phase:]
