"""How the rows of a page are found.

A list that is sorted by a field of another table is walked along that table's index: first the
rows that have the field, in its order, then those that do not have it, by the next field. A filter
is asked of each row on the way. Where few rows meet one of its conditions, they are looked up and
sorted instead: that is found out before the walk, and again when its first steps found too little.
See docs/adr/0011-two-ways-to-a-page.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.field_table import Kind
from service_chassis.filter_sql import compile_filter
from service_chassis.filter_values import EXACT
from service_chassis.order_by import order_by_invalid
from service_chassis.sort_keys import SortKey, after_position, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service_chassis.field_table import Field, FieldTable
    from service_chassis.filter_sql import Conjunct
    from service_chassis.listing import PageRequest
    from service_chassis.page_tokens import SortValue

    Position = tuple[SortValue, ...]

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
        base: Selects what is listed, without order and limit.
        page: Filter and order.
        fields: What can be filtered and sorted by.
        tie_break: A unique column that is never NULL.
        within: A condition on all that is listed, which scoped lookups imply.

    Raises:
        StudbookError: FILTER_INVALID, ORDER_BY_INVALID.
    """

    def __init__(
        self,
        connection: sa.Connection,
        base: sa.Select[Any],
        page: PageRequest,
        fields: FieldTable,
        tie_break: sa.ColumnElement[Any],
        within: sa.ColumnElement[bool] | None,
    ) -> None:
        self._connection = connection
        self._base = base
        self._within = within
        descending = page.order[0].descending
        self._keys = [*_sort_keys(page, fields), sort_key(tie_break, descending=descending)]
        found = [] if page.filter is None else compile_filter(page.filter, fields)
        # Databases ask in this order, so what few rows are likely to meet comes first.
        self._conjuncts = sorted(found, key=lambda each: not each.is_equality)
        self._few: Conjunct | None = None
        # Up to where rows were counted.
        self._counted = -1

    def position(self, row: sa.Row[Any]) -> Position:
        """The values that a row is sorted by."""
        return tuple(row)[-len(self._keys) :]

    def rows(self, after: Position | None, limit: int) -> list[sa.Row[Any]]:
        """The next rows after a position, None being the beginning."""
        found: list[sa.Row[Any]] = []
        for phase, key in enumerate(self._keys):
            if not key.can_be_walked:
                return found + self._rest(phase, after, limit - len(found))
            if after is not None and not any(value is not None for value in after[: phase + 1]):
                continue
            if self._are_few(_FEW):
                return found + self._looked_up(phase, after, limit - len(found))
            walk = _Walk(self, phase, _within_phase(after, phase))
            found += walk.first_steps(limit - len(found))
            if len(found) == limit:
                return found
            if walk.ended:
                continue
            needed = limit - len(found)
            if self._are_few(max(1, _FIRST_STEPS * needed // max(1, walk.found))):
                last = self.position(found[-1]) if walk.found else after
                return found + self._looked_up(phase, last, needed)
            found += walk.the_rest(needed)
            if len(found) == limit:
                return found
        return found

    def select(
        self,
        phase: int,
        *,
        without: Conjunct | None = None,
        owner: sa.ColumnElement[Any] | None = None,
    ) -> sa.Select[Any]:
        """The rows that meet the filter and lack the fields of the phases before this one.

        Args:
            phase: Which sort key comes first.
            without: A condition that is met anyway.
            owner: Column of another table that says which listed row it is.
        """
        statement = self._base.where(
            *(each.at(owner) for each in self._conjuncts if each is not without)
        )
        for key in self._keys[:phase]:
            statement = statement.where(key.is_missing())
        return statement

    def labelled(self, statement: sa.Select[Any], values: list[Any]) -> sa.Select[Any]:
        """The statement with the values of all sort keys as its last columns."""
        return statement.add_columns(
            *(value.label(f"sort_value_{index}") for index, value in enumerate(values))
        )

    @property
    def keys(self) -> list[SortKey]:
        """What the list is sorted by, the tie-break last."""
        return self._keys

    def run(self, statement: sa.Select[Any], limit: int) -> list[sa.Row[Any]]:
        """The first rows of a statement."""
        return list(self._connection.execute(statement.limit(limit)).all())

    def _rest(self, phase: int, after: Position | None, limit: int) -> list[sa.Row[Any]]:
        """Rows that have none of the fields that can be walked by, in the order of the others."""
        if self._are_few(_FEW):
            return self._looked_up(phase, after, limit)
        statement = self.select(phase)
        if self._within is not None:
            statement = statement.where(self._within)
        return self._sorted(statement, phase, after, limit)

    def _looked_up(self, phase: int, after: Position | None, limit: int) -> list[sa.Row[Any]]:
        """All that is left, found by the rows that meet one condition."""
        few = self._few
        if few is None or few.listed is None:
            return []
        statement = self.select(phase, without=few).where(few.listed.in_(few.owners()))
        return self._sorted(statement, phase, after, limit)

    def _sorted(
        self, statement: sa.Select[Any], phase: int, after: Position | None, limit: int
    ) -> list[sa.Row[Any]]:
        keys = self._keys[phase:]
        values = [*(sa.null() for _ in self._keys[:phase]), *(key.expression for key in keys)]
        statement = self.labelled(statement, values).order_by(*(key.order() for key in keys))
        position = _within_phase(after, phase)
        if position is not None:
            statement = statement.where(after_position(keys, position))
        return self.run(statement, limit)

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
        countable = [each for each in self._conjuncts if each.found_by]
        if not countable:
            return most, None
        counts = [
            sa.select(sa.func.count())
            .select_from(each.owners().limit(most).subquery())
            .scalar_subquery()
            for each in countable
        ]
        row = self._connection.execute(sa.select(*counts)).one()
        smallest = min(range(len(countable)), key=lambda index: row[index])
        return row[smallest], countable[smallest]


class _Walk:
    """The rows that have the sort key of a phase, along an index that gives its order."""

    def __init__(self, query: PageQuery, phase: int, after: Position | None) -> None:
        self._query = query
        self._phase = phase
        self._keys = query.keys[phase:]
        self._after = after
        self._end: SortValue = None
        self.found = 0
        self.ended = False
        self._walked = self._keys[0].walked()

    def first_steps(self, limit: int) -> list[sa.Row[Any]]:
        """Rows among the first steps; sets `ended` when there are no more steps."""
        walked, after = self._walked, self._after
        steps = walked.steps()
        if after is not None:
            steps = steps.where(walked.key.not_before(after[0]))
        end = steps.offset(_FIRST_STEPS - 1).limit(1)
        # Equal values are not told apart here, so there may be more steps than asked for.
        statement = self._statement().where(walked.key.not_after(walked.value_at(end)))
        rows = self._query.run(statement, limit)
        self.found = len(rows)
        if len(rows) < limit:
            ends = self._query.run(end, 1)
            self.ended = not ends
            self._end = ends[0][0] if ends else None
        return rows

    def the_rest(self, limit: int) -> list[sa.Row[Any]]:
        """Rows of the steps after the first ones."""
        return self._query.run(self._statement().where(self._walked.key.after(self._end)), limit)

    def _statement(self) -> sa.Select[Any]:
        query, walked = self._query, self._walked
        keys = [walked.key, *self._keys[1:-1], walked.tie_break(self._keys[-1])]
        statement = query.select(self._phase, owner=walked.owner)
        statement = statement.join(walked.source, walked.owner == walked.listed)
        statement = statement.where(walked.rows, walked.key.expression.is_not(None))
        values = [*(sa.null() for _ in range(self._phase)), *(key.expression for key in keys)]
        statement = query.labelled(statement, values).order_by(*(key.order() for key in keys))
        if self._after is not None:
            statement = statement.where(after_position(keys, self._after))
        return statement


def _within_phase(after: Position | None, phase: int) -> Position | None:
    """Where to go on in a phase; None is its beginning."""
    if after is None or any(value is not None for value in after[:phase]):
        return None
    return after[phase:]


def _sort_keys(page: PageRequest, fields: FieldTable) -> Iterator[SortKey]:
    for term in page.order:
        found = fields.find_sortable(term.path)
        if found is None or found.column is None:
            raise order_by_invalid(
                page.order_by,
                f"there is no {'.'.join(term.path)} to sort by; "
                f"there are {', '.join(fields.sortable_names())}",
            )
        yield from _keys_of(found, found.column, descending=term.descending)


def _keys_of(field: Field, column: sa.ColumnElement[Any], *, descending: bool) -> Iterator[SortKey]:
    lookup = field.lookup if field.lookup is not None and field.lookup.ordered else None
    if field.kind is Kind.VALUE and field.number is not None:
        # Numbers first, in their order, then texts in theirs.
        walked = None if lookup is None else lookup.number
        yield SortKey(field.number, descending, nullable=True, lookup=lookup, walked_by=walked)
        if field.integer is not None:
            rounded = sa.func.abs(field.number) >= sa.literal(EXACT, sa.Double())
            yield sort_key(sa.case((rounded, field.integer)), descending=descending)
        yield sort_key(sa.case((field.number.is_(None), column)), descending=descending)
        return
    key = sort_key(column, descending=descending)
    if lookup is None:
        yield key
    else:
        yield SortKey(column, descending, nullable=True, lookup=lookup, walked_by=lookup.column)
