"""What the statements for pages of one list are: its filter and its order in SQL.

Making statements takes as long as running them, so a plan makes each once, whatever the position
and size of the page. A plan can be kept for the next page of the same list; see `page_query` for
when which statement is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.errors import quote
from service_chassis.field_table import Kind
from service_chassis.filter_sql import compile_filter
from service_chassis.order_by import order_by_invalid
from service_chassis.sort_keys import SortKey, after_position, lost_by_rounding, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from service_chassis.field_table import Field, FieldTable
    from service_chassis.filter_grammar import Filter
    from service_chassis.filter_sql import Conjunct
    from service_chassis.order_by import OrderTerm
    from service_chassis.page_tokens import SortValue

    Position = tuple[SortValue, ...]

# Parameters of the statements.
ROW_LIMIT = "row_limit"
WALK_END = "walk_end"
_LIMIT = sa.bindparam(ROW_LIMIT, type_=sa.Integer())


class PagePlan:
    """Makes statements; threads may share one.

    Args:
        base: Selects what is listed, without order and limit.
        filter_: What is listed of it; None is everything.
        order: The fields to sort by.
        order_by: The same as text, for errors.
        fields: What can be filtered and sorted by.
        tie_break: A unique column that is never NULL.
        within: A condition on all that is listed, which scoped lookups imply.

    Raises:
        StudbookError: FILTER_INVALID, ORDER_BY_INVALID.
    """

    def __init__(
        self,
        base: sa.Select[Any],
        filter_: Filter | None,
        order: Sequence[OrderTerm],
        order_by: str,
        fields: FieldTable,
        tie_break: sa.ColumnElement[Any],
        within: sa.ColumnElement[bool] | None,
    ) -> None:
        self._base = base
        self._within = within
        found = [] if filter_ is None else compile_filter(filter_, fields)
        # Databases ask in this order, so what few rows are likely to meet comes first.
        self._conjuncts = sorted(found, key=lambda each: not each.is_equality)
        last = sort_key(tie_break, descending=order[0].descending)
        self.keys: list[SortKey] = [*_sort_keys(order, order_by, fields), last]
        # Those that can be looked up first.
        self.countable = [each for each in self._conjuncts if each.found_by]
        self._made: dict[Hashable, sa.Select[Any]] = {}

    def position(self, row: sa.Row[Any]) -> Position:
        """The values that a row is sorted by."""
        return tuple(row)[-len(self.keys) :]

    def counts(self) -> sa.Select[Any]:
        """How many rows meet each of the `countable` conditions, up to the limit."""
        return self._once(
            "counts",
            lambda: sa.select(
                *(
                    sa.select(sa.func.count())
                    .select_from(each.owners().limit(_LIMIT).subquery())
                    .scalar_subquery()
                    for each in self.countable
                )
            ),
        )

    def looked_up(self, phase: int, after: Position | None, few: Conjunct) -> sa.Select[Any]:
        """All rows from a phase on, found by the rows that meet one condition.

        Args:
            phase: Which sort key comes first.
            after: Where to go on.
            few: The condition.
        """
        listed = few.listed
        if listed is None:
            message = "no index leads to what meets the condition"
            raise TypeError(message)

        def make() -> sa.Select[Any]:
            found = self._select(phase, without=few).where(listed.in_(few.owners()))
            return self._sorted(found, phase, after)

        return self._once(("looked_up", phase, _shape(after), self._conjuncts.index(few)), make)

    def everything(self, phase: int, after: Position | None) -> sa.Select[Any]:
        """All rows from a phase on, sorted."""

        def make() -> sa.Select[Any]:
            statement = self._select(phase)
            if self._within is not None:
                statement = statement.where(self._within)
            return self._sorted(statement, phase, after)

        return self._once(("everything", phase, _shape(after)), make)

    def first_steps(self, phase: int, after: Position | None, steps: int) -> sa.Select[Any]:
        """Rows that have the sort key of a phase, along the index, within so many steps.

        Equal values are not told apart at the end, so there may be more steps than asked for.
        """

        def make() -> sa.Select[Any]:
            walked = self.keys[phase].walked()
            end = walked.value_at(self.end_of_steps(phase, after, steps))
            return self._walk(phase, after).where(walked.key.not_after(end)).limit(_LIMIT)

        return self._once(("first_steps", phase, _shape(after), steps), make)

    def end_of_steps(self, phase: int, after: Position | None, steps: int) -> sa.Select[Any]:
        """The value of the sort key after so many steps; no row when there are fewer."""

        def make() -> sa.Select[Any]:
            walked = self.keys[phase].walked()
            ahead = walked.steps()
            if after is not None:
                first, *_ = self._sought(phase, after)
                ahead = ahead.where(walked.key.not_before(first))
            return ahead.offset(steps - 1).limit(1)

        return self._once(("end", phase, _shape(after), steps), make)

    def steps_beyond(self, phase: int, after: Position | None) -> sa.Select[Any]:
        """Rows that have the sort key of a phase, along the index, from `WALK_END` on."""

        def make() -> sa.Select[Any]:
            key = self.keys[phase].walked().key
            end = sa.bindparam(WALK_END, type_=key.expression.type)
            return self._walk(phase, after).where(key.after(end)).limit(_LIMIT)

        return self._once(("beyond", phase, _shape(after)), make)

    def _walk(self, phase: int, after: Position | None) -> sa.Select[Any]:
        walked = self.keys[phase].walked()
        keys = [walked.key, *self.keys[phase + 1 : -1], walked.tie_break(self.keys[-1])]
        statement = self._select(phase, owner=walked.owner)
        statement = statement.join(walked.source, walked.owner == walked.listed)
        statement = statement.where(walked.rows, walked.key.expression.is_not(None))
        return self._ordered(statement, keys, phase, after)

    def _sorted(
        self, statement: sa.Select[Any], phase: int, after: Position | None
    ) -> sa.Select[Any]:
        return self._ordered(statement, self.keys[phase:], phase, after).limit(_LIMIT)

    def _ordered(
        self,
        statement: sa.Select[Any],
        keys: Sequence[SortKey],
        phase: int,
        after: Position | None,
    ) -> sa.Select[Any]:
        """The statement in order, with the values of all sort keys as its last columns."""
        values = [*(sa.null() for _ in range(phase)), *(key.expression for key in keys)]
        labelled = (value.label(f"sort_value_{index}") for index, value in enumerate(values))
        statement = statement.add_columns(*labelled).order_by(*(key.order() for key in keys))
        if after is None:
            return statement
        return statement.where(after_position(keys, self._sought(phase, after)))

    def _select(
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
        for key in self.keys[:phase]:
            statement = statement.where(key.is_missing())
        return statement

    def _sought(self, phase: int, after: Position) -> list[sa.ColumnElement[Any] | None]:
        """Parameters for the values of a position in a phase; None for those that are missing."""
        return [
            None if value is None else sa.bindparam(_after(place), type_=key.expression.type)
            for place, (key, value) in enumerate(zip(self.keys[phase:], after, strict=True))
        ]

    def _once(self, name: Hashable, make: Callable[[], sa.Select[Any]]) -> sa.Select[Any]:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = make()
        return made


def parameters(after: Position | None) -> dict[str, SortValue]:
    """The parameters of a statement that goes on after a position in a phase."""
    return {_after(place): value for place, value in enumerate(after or ()) if value is not None}


def _after(place: int) -> str:
    return f"after_{place}"


def _shape(after: Position | None) -> tuple[bool, ...] | None:
    """What of a position a statement depends on."""
    return None if after is None else tuple(value is None for value in after)


def _sort_keys(order: Sequence[OrderTerm], order_by: str, fields: FieldTable) -> Iterator[SortKey]:
    for term in order:
        found = fields.find_sortable(term.path)
        if found is None or found.column is None:
            raise order_by_invalid(
                order_by,
                f"there is no field {quote('.'.join(term.path))} to sort by; "
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
            yield sort_key(lost_by_rounding(field.number, field.integer), descending=descending)
        yield sort_key(sa.case((field.number.is_(None), column)), descending=descending)
        return
    key = sort_key(column, descending=descending)
    if lookup is None:
        yield key
    else:
        yield SortKey(column, descending, nullable=True, lookup=lookup, walked_by=lookup.column)
