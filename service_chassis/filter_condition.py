"""One comparison of a filter as an SQL condition, by the kind of the field."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.errors import StudbookError, quote
from service_chassis.field_table import Field, Kind, Lookup, Way
from service_chassis.filter_grammar import Comparator, Comparison, filter_invalid
from service_chassis.filter_values import (
    EXACT,
    exact_whole,
    number_or_none,
    read_boolean,
    read_enum,
    read_integer,
    read_number,
    read_timestamp,
)
from service_chassis.sql_text import by_bytes, contains, matches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service_chassis.filter_text import Literal

_ORDERED: Mapping[Comparator, Callable[[Any, Any], Any]] = {
    Comparator.EQUAL: operator.eq,
    Comparator.HAS: operator.eq,
    Comparator.NOT_EQUAL: operator.ne,
    Comparator.LESS: operator.lt,
    Comparator.AT_MOST: operator.le,
    Comparator.GREATER: operator.gt,
    Comparator.AT_LEAST: operator.ge,
}
# How values of the simple kinds are read, and the type they are bound as.
_SCALARS: Mapping[Kind, tuple[Callable[[Literal], object], Any]] = {
    Kind.TIMESTAMP: (read_timestamp, sa.BigInteger()),
    Kind.NUMBER: (read_number, sa.Double()),
    Kind.INTEGER: (read_integer, sa.BigInteger()),
    Kind.BOOLEAN: (read_boolean, sa.Boolean()),
}
_EQUALITY = frozenset({Comparator.EQUAL, Comparator.NOT_EQUAL, Comparator.HAS})
_INT64 = 2**63
# As long as the longest text there is. SQLite takes patterns of 50 000 bytes, stars included.
_LONGEST_PATTERN = 8192


@dataclass(frozen=True)
class Condition:
    """One comparison, to be made on a column.

    Attributes:
        text: The whole filter, for errors.
        comparison: The comparison.
        field: The field it names.
    """

    text: str
    comparison: Comparison
    field: Field

    @property
    def is_equality(self) -> bool:
        """Whether it asks for one value of many."""
        return self.comparison.comparator in {Comparator.EQUAL, Comparator.HAS}

    def on_listed_row(self) -> sa.ColumnElement[bool]:
        """The condition on a row of the list; false where the value is missing."""
        return sa.or_(*(way.condition for way in self._ways(self._column(self.field.column), None)))

    def on_other_table(self, lookup: Lookup) -> tuple[Way, ...]:
        """The conditions on a row of the table where the values are; false where there is none.

        Either has to hold. Each alone is one that an index can serve, where there is one for it.
        """
        if self._asks_presence() and self.field.present is not None:
            return (Way(self.field.present),)
        return self._ways(self._column(lookup.column), lookup)

    def is_served(self, lookup: Lookup) -> bool:
        """Whether an index leads to the rows that meet it, not just to all rows of the field."""
        comparator, value = self.comparison.comparator, self.comparison.value
        if self._asks_presence():
            return True
        if value.pattern or comparator is Comparator.NOT_EQUAL:
            return False
        is_number = self.field.kind is Kind.VALUE and number_or_none(value) is not None
        if self.field.kind in {Kind.TEXT, Kind.VALUE} and not is_number:
            indexed = lookup.indexed and self.field.kind is Kind.TEXT
            return comparator in _EQUALITY and (indexed or lookup.equal_text is not None)
        return lookup.indexed

    def _column(self, usual: sa.ColumnElement[Any] | None) -> sa.ColumnElement[Any]:
        choose = self.field.qualified
        chosen = None if choose is None else choose(self.comparison.value.text)
        if chosen is not None:
            return chosen
        if usual is None:
            message = f"{self.comparison.path} has no column to compare"
            raise TypeError(message)
        return usual

    def _asks_presence(self) -> bool:
        return self.is_equality and self.comparison.value.is_any

    def _ways(self, column: sa.ColumnElement[Any], lookup: Lookup | None) -> tuple[Way, ...]:
        """Conditions of which one has to hold; never NULL."""
        comparator, value = self.comparison.comparator, self.comparison.value
        if value.is_any and comparator in _EQUALITY:
            present = self._presence(column)
            found = present if self._asks_presence() else sa.not_(present)
        elif self.field.encode is not None:
            found = self._encoded(column, self.field.encode)
        elif self.field.kind is Kind.TEXT:
            found = self._text(column, lookup)
        elif self.field.kind is Kind.VALUE:
            return self._value(column, lookup)
        else:
            found = self._scalar(column)
        return (Way(sa.and_(column.is_not(None), found), self._text_index(lookup)),)

    def _presence(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        if self.field.kind is Kind.TEXT and not self.field.keyed:
            return column != sa.literal("", sa.Text())
        if self.field.kind is Kind.ENUM:
            return column != sa.literal(0, sa.Integer())
        return sa.true()

    def _scalar(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        comparator, kind, value = self.comparison.comparator, self.field.kind, self.comparison.value
        if kind in {Kind.BOOLEAN, Kind.ENUM} and comparator not in _EQUALITY:
            raise self._refusal(f'it has no order; use "=" or "!=", not "{comparator.value}"')
        try:
            if kind is Kind.ENUM:
                return self._compare(column, read_enum(value, self.field.values), sa.Integer())
            read, type_ = _SCALARS[kind]
            return self._compare(column, read(value), type_)
        except ValueError as error:
            raise self._expected(error) from error

    def _compare(self, column: Any, value: object, type_: Any) -> sa.ColumnElement[bool]:
        compared: sa.ColumnElement[bool] = _ORDERED[self.comparison.comparator](
            column, sa.literal(value, type_)
        )
        return compared

    def _encoded(
        self, column: sa.ColumnElement[Any], encode: Callable[[str], str | int]
    ) -> sa.ColumnElement[bool]:
        if self.comparison.comparator is Comparator.HAS:
            raise self._refusal('it is compared as a whole; use "="')
        try:
            value = encode(self.comparison.value.text)
        except ValueError as error:
            raise self._expected(error) from error
        if isinstance(value, str):
            return self._compare(by_bytes(column), value, sa.Text())
        return self._compare(column, value, sa.BigInteger())

    def _text(self, column: sa.ColumnElement[Any], lookup: Lookup | None) -> sa.ColumnElement[bool]:
        comparator, value = self.comparison.comparator, self.comparison.value
        if comparator not in _EQUALITY:
            return self._compare(by_bytes(column), value.text, sa.Text())
        if value.pattern:
            if sum(map(len, value.pattern)) > _LONGEST_PATTERN:
                raise self._refusal(
                    f"beside its * a pattern has at most {_LONGEST_PATTERN} characters"
                )
            found = matches(column, value.pattern)
            return sa.not_(found.self_group()) if comparator is Comparator.NOT_EQUAL else found
        if comparator is Comparator.HAS and not self.field.keyed:
            return contains(column, value.text)
        if comparator is Comparator.NOT_EQUAL or lookup is None or lookup.equal_text is None:
            return self._compare(column, value.text, sa.Text())
        return lookup.equal_text(value.text)

    def _text_index(self, lookup: Lookup | None) -> str | None:
        """The index that says whether a row has the text; None where that is not asked."""
        value = self.comparison.value
        if value.pattern or value.is_any or not self.is_equality or lookup is None:
            return None
        return lookup.text_index

    def _value(self, column: sa.ColumnElement[Any], lookup: Lookup | None) -> tuple[Way, ...]:
        comparator, value = self.comparison.comparator, self.comparison.value
        place = self.field if lookup is None else lookup
        number, sought = place.number, number_or_none(value)
        if sought is None or number is None:
            found = sa.and_(column.is_not(None), self._text(column, lookup))
            return (Way(found, self._text_index(lookup)),)
        is_equality = comparator in _EQUALITY
        wanted = Comparator.EQUAL if is_equality else comparator
        as_number = sa.and_(
            number.is_not(None), self._number(wanted, number, place.integer, sought)
        )
        if not is_equality:
            return (Way(as_number),)
        # 2024 finds the number and, where the value was logged as a text, the text.
        if lookup is None or lookup.equal_text is None:
            as_text = sa.and_(column.is_not(None), column == sa.literal(value.text, sa.Text()))
        else:
            as_text = lookup.equal_text(value.text)
        as_text = sa.and_(number.is_(None), as_text)
        if comparator is Comparator.NOT_EQUAL:
            return (Way(sa.and_(column.is_not(None), sa.not_(sa.or_(as_number, as_text)))),)
        index = None if lookup is None or abs(sought) >= EXACT else lookup.number_index
        if index is None:
            return (Way(as_number), Way(as_text))
        return (Way(as_number, index), Way(as_text, index, unless_none=number.is_(None)))

    def _number(
        self,
        comparator: Comparator,
        number: sa.ColumnElement[Any],
        integer: sa.ColumnElement[Any] | None,
        sought: float,
    ) -> sa.ColumnElement[bool]:
        """Numbers compared; whole ones exactly, also those that no double can hold."""
        if integer is None or abs(sought) < EXACT or math.isinf(sought):
            return _doubles(comparator, number, sought)
        compared = _ORDERED[comparator]
        whole = exact_whole(self.comparison.value, sought)
        as_double = _doubles(_past_rounding(comparator, whole, sought), number, sought)
        if -_INT64 <= whole < _INT64:
            exactly = compared(integer, sa.literal(whole, sa.BigInteger()))
        else:
            # Beyond every whole number there is, on one side.
            exactly = sa.true() if compared(0, whole) else sa.false()
        return sa.or_(sa.and_(integer.is_(None), as_double), sa.and_(integer.is_not(None), exactly))

    def _expected(self, what: ValueError) -> StudbookError:
        return self._refusal(f"expected {what}, found {quote(self.comparison.value.text)}")

    def _refusal(self, problem: str) -> StudbookError:
        name = ".".join(self.comparison.path)
        return filter_invalid(
            self.text, self.comparison.value.column, f"{name} is {self.field.kind.value}: {problem}"
        )


def _past_rounding(comparator: Comparator, whole: int, rounded: float) -> Comparator | None:
    """What makes of a comparison of doubles with a whole number one with what that is rounded to.

    None where no double meets it.
    """
    if whole == rounded:
        return comparator
    if comparator in {Comparator.LESS, Comparator.AT_MOST}:
        return Comparator.AT_MOST if rounded < whole else Comparator.LESS
    if comparator in {Comparator.GREATER, Comparator.AT_LEAST}:
        return Comparator.AT_LEAST if rounded > whole else Comparator.GREATER
    return None


def _doubles(
    comparator: Comparator | None, number: sa.ColumnElement[Any], sought: float
) -> sa.ColumnElement[bool]:
    if comparator is None:
        return sa.false()
    compared: sa.ColumnElement[bool] = _ORDERED[comparator](number, sa.literal(sought, sa.Double()))
    return compared
