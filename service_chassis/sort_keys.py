"""What a list is sorted by, and conditions on where a row stands in the order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.field_table import Way
from service_chassis.filter_values import EXACT
from service_chassis.sql_text import by_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service_chassis.field_table import Lookup


@dataclass(frozen=True, eq=False)
class SortKey:
    """One expression to sort by; missing values come last in both directions.

    Attributes:
        expression: The value for a listed row.
        descending: Whether the largest comes first.
        nullable: Whether there can be rows without a value.
        lookup: Where an index gives the values in order; None where none does.
        walked_by: The column of the lookup that holds the values.
    """

    expression: sa.ColumnElement[Any]
    descending: bool
    nullable: bool
    lookup: Lookup | None = None
    walked_by: sa.ColumnElement[Any] | None = None

    @property
    def can_be_walked(self) -> bool:
        """Whether an index of another table gives the order."""
        return self.lookup is not None and self.walked_by is not None

    def walked(self) -> Walked:
        """The other table and its index."""
        if self.lookup is None or self.walked_by is None:
            message = "no index gives the order of this key"
            raise TypeError(message)
        key = SortKey(self.walked_by, self.descending, nullable=False)
        return Walked(self.lookup, key)

    def order(self) -> sa.ColumnElement[Any]:
        """The term of ORDER BY."""
        directed = self.expression.desc() if self.descending else self.expression.asc()
        # Without NULLs the clause would only keep the database from using an index.
        return directed.nulls_last() if self.nullable else directed

    def after(self, sought: sa.ColumnElement[Any] | None) -> sa.ColumnElement[bool]:
        """Whether a row stands after those with this value, None being none."""
        if sought is None:
            return sa.false()
        beyond = self.expression < sought if self.descending else self.expression > sought
        return sa.or_(beyond, self.expression.is_(None)) if self.nullable else beyond

    def differs(self, sought: sa.ColumnElement[Any] | None) -> sa.ColumnElement[bool]:
        """Whether a row that does not stand after this value has another one."""
        return self.expression.is_not(None) if sought is None else self.expression != sought

    def not_before(self, sought: sa.ColumnElement[Any] | None) -> sa.ColumnElement[bool]:
        """Whether a row has this value or stands after those that do, as an index can serve it."""
        if sought is None or self.nullable:
            return sa.true()
        return self.expression <= sought if self.descending else self.expression >= sought

    def not_after(self, value: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether a row has this value or stands before those that do, as an index can serve it."""
        return self.expression >= value if self.descending else self.expression <= value

    def is_missing(self) -> sa.ColumnElement[bool]:
        """Whether a listed row has no value."""
        if self.lookup is None or self.walked_by is None:
            return self.expression.is_(None)
        return sa.not_(self.lookup.exists([Way(self.walked_by.is_not(None))]))


@dataclass(frozen=True, eq=False)
class Walked:
    """Another table whose index gives the order of a sort key.

    Attributes:
        key: The sort key on a column of that table; it is never NULL in the rows walked.
    """

    _lookup: Lookup
    key: SortKey

    @property
    def source(self) -> sa.FromClause:
        """The table."""
        return self._lookup.source

    @property
    def owner(self) -> sa.ColumnElement[Any]:
        """The column that says which listed row a row belongs to."""
        return self._lookup.owner

    @property
    def listed(self) -> sa.ColumnElement[Any]:
        """The column of the listed rows that the owner refers to."""
        return self._lookup.listed

    @property
    def rows(self) -> sa.ColumnElement[bool]:
        """The rows of the field."""
        return self._lookup.rows

    def tie_break(self, key: SortKey) -> SortKey:
        """The tie-break, by the index itself where it is the owner."""
        if key.expression is not self.listed:
            return key
        return replace(key, expression=self.owner)

    def steps(self) -> sa.Select[Any]:
        """The values in order."""
        order = self.key.order()
        owner = self.owner.desc() if self.key.descending else self.owner
        return (
            sa.select(self.key.expression)
            .select_from(self.source)
            .where(self.rows, self.key.expression.is_not(None))
            .order_by(order, owner)
        )

    def value_at(self, step: sa.Select[Any]) -> sa.ColumnElement[Any]:
        """The value at one of the steps; the last value where there are not so many."""
        farthest = sa.func.min if self.key.descending else sa.func.max
        last = sa.select(farthest(self.key.expression)).select_from(self.source).where(self.rows)
        return sa.func.coalesce(
            step.correlate(None).scalar_subquery(),
            last.correlate(None).scalar_subquery(),
            type_=self.key.expression.type,
        )


def sort_key(column: sa.ColumnElement[Any], *, descending: bool) -> SortKey:
    """The sort key of a column or expression of the listed rows."""
    nullable = not isinstance(column, sa.Column) or bool(column.nullable)
    is_text = isinstance(column.type, sa.String)
    return SortKey(by_bytes(column) if is_text else column, descending, nullable)


def lost_by_rounding(
    number: sa.ColumnElement[Any], integer: sa.ColumnElement[Any]
) -> sa.ColumnElement[int]:
    """By how much a whole number is larger than the double it was rounded to.

    It puts whole numbers of the same double in order, among one another and with that double.

    Args:
        number: The double; NULL where there is no number.
        integer: The whole number; NULL where the number is none.
    """
    largest = sa.literal(2**63 - 1, sa.BigInteger())
    exact = sa.func.abs(number) < sa.literal(EXACT, sa.Double())
    return sa.case(
        (sa.or_(integer.is_(None), exact), sa.literal(0, sa.BigInteger())),
        # 2**63, which is no whole number of 64 bits.
        (number >= sa.literal(2.0**63, sa.Double()), integer - largest - 1),
        else_=integer - sa.cast(number, sa.BigInteger()),
    )


def after_position(
    keys: Sequence[SortKey], position: Sequence[sa.ColumnElement[Any] | None]
) -> sa.ColumnElement[bool]:
    """Whether a row stands after a position, None being missing values."""
    # The first key that is not the same decides. Cases stand side by side; as conditions within
    # conditions, those of eight fields lie deeper than SQLite reads.
    cases: list[tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]] = []
    for key, sought in zip(keys, position, strict=True):
        cases += [(key.after(sought), sa.true()), (key.differs(sought), sa.false())]
    return sa.and_(keys[0].not_before(position[0]), sa.case(*cases, else_=sa.false()))
