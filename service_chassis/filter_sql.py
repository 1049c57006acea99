"""Turns parsed filters into SQL conditions.

Only fields of a `FieldTable` can be named, and values reach the database as bound parameters only.

Conditions are two-valued. A missing value matches no comparison, also not `!=`, as AIP-160 wants
it; `NOT` of a comparison does match it. So `tags.team != "a"` finds what has another team,
`NOT tags.team = "a"` also what has none.

`field:*` asks whether a value is there. An empty text counts as missing, as it does in protobuf,
unless it is the value of a map's key. `map:key` asks whether a map has a key.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.errors import StudbookError, quote
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.filter_grammar import (
    And,
    Comparator,
    Comparison,
    Filter,
    Literal,
    Node,
    Not,
    filter_invalid,
)
from service_chassis.filter_values import (
    number_or_none,
    read_boolean,
    read_enum,
    read_integer,
    read_number,
    read_timestamp,
)
from service_chassis.sql_text import by_bytes, contains, ends_with, starts_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ORDERED: Mapping[Comparator, Callable[[Any, Any], Any]] = {
    Comparator.EQUAL: operator.eq,
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
_EQUALITY = frozenset({Comparator.EQUAL, Comparator.NOT_EQUAL})


def compile_filter(parsed: Filter, table: FieldTable) -> sa.ColumnElement[bool]:
    """The SQL condition of a filter; it is true or false, never NULL.

    Raises:
        StudbookError: FILTER_INVALID when a field does not exist, or cannot be compared so.
    """
    return _Compiler(parsed.text, table).compile(parsed.root)


@dataclass(frozen=True)
class _Compiler:
    text: str
    table: FieldTable

    def compile(self, node: Node) -> sa.ColumnElement[bool]:
        if isinstance(node, Comparison):
            return self._comparison(node)
        if isinstance(node, Not):
            return sa.not_(self.compile(node.operand).self_group())
        operands = [self.compile(operand).self_group() for operand in node.operands]
        return sa.and_(*operands) if isinstance(node, And) else sa.or_(*operands)

    def _comparison(self, comparison: Comparison) -> sa.ColumnElement[bool]:
        field = self.table.find(comparison.path)
        if field is None:
            return self._key_presence(comparison)
        condition = _Condition(self.text, comparison, field)
        if field.lookup is None:
            return condition.on(field.column, field.number)
        return field.lookup.exists(condition.on(field.lookup.column, field.lookup.number))

    def _key_presence(self, comparison: Comparison) -> sa.ColumnElement[bool]:
        """`tags:team`, which asks whether the map has the key."""
        value = comparison.value
        if comparison.comparator is Comparator.HAS and not (value.open_start or value.open_end):
            path = (*comparison.path, value.text)
            if self.table.find(path) is not None:
                anything = Literal(
                    "*", quoted=False, column=value.column, open_start=True, open_end=True
                )
                return self._comparison(
                    Comparison(path, Comparator.HAS, anything, comparison.column)
                )
        raise filter_invalid(
            self.text,
            comparison.column,
            f"there is no field {quote('.'.join(comparison.path))} to filter by; "
            f"there are {', '.join(self.table.names())}",
        )


@dataclass(frozen=True)
class _Condition:
    """One comparison, to be made on a column."""

    text: str
    comparison: Comparison
    field: Field

    def on(
        self, column: sa.ColumnElement[Any], number: sa.ColumnElement[Any] | None
    ) -> sa.ColumnElement[bool]:
        """The condition on a column; false where the column is NULL."""
        return sa.and_(column.is_not(None), self._where_present(column, number))

    def _where_present(
        self, column: sa.ColumnElement[Any], number: sa.ColumnElement[Any] | None
    ) -> sa.ColumnElement[bool]:
        comparator, value = self.comparison.comparator, self.comparison.value
        kind = self.field.kind
        if value.is_any and comparator in {Comparator.HAS, *_EQUALITY}:
            present = self._presence(column)
            return sa.not_(present) if comparator is Comparator.NOT_EQUAL else present
        if self.field.encode is not None:
            return self._encoded(column, self.field.encode)
        if kind is Kind.TEXT:
            return self._text(column)
        if kind is Kind.VALUE:
            return self._value(column, number)
        return self._scalar(column)

    def _scalar(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        self._check_comparator()
        value = self.comparison.value
        try:
            if self.field.kind is Kind.ENUM:
                return self._compare(column, read_enum(value, self.field.values), sa.Integer())
            read, type_ = _SCALARS[self.field.kind]
            return self._compare(column, read(value), type_)
        except ValueError as error:
            raise self._expected(error) from error

    def _presence(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        if self.field.kind is Kind.TEXT and not self.field.keyed:
            return column != sa.literal("", sa.Text())
        if self.field.kind is Kind.ENUM:
            return column != sa.literal(0, sa.Integer())
        return sa.true()

    def _check_comparator(self) -> None:
        comparator, kind = self.comparison.comparator, self.field.kind
        if comparator is Comparator.HAS:
            raise self._refusal(
                '":" works on texts; use "=", or ":*" to ask whether there is a value'
            )
        if kind in {Kind.BOOLEAN, Kind.ENUM} and comparator not in _EQUALITY:
            raise self._refusal(f'it has no order; use "=" or "!=", not "{comparator.value}"')

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

    def _text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        comparator, value = self.comparison.comparator, self.comparison.value
        is_pattern = value.open_start or value.open_end
        if comparator is Comparator.HAS:
            if is_pattern:
                raise self._refusal('":" finds any part of a text; leave out the * or use "="')
            return contains(column, value.text)
        if comparator not in _EQUALITY:
            return self._compare(by_bytes(column), value.text, sa.Text())
        if not is_pattern:
            return self._compare(column, value.text, sa.Text())
        matches = _matches(column, value)
        return matches if comparator is Comparator.EQUAL else sa.not_(matches.self_group())

    def _value(
        self, column: sa.ColumnElement[Any], number: sa.ColumnElement[Any] | None
    ) -> sa.ColumnElement[bool]:
        comparator, value = self.comparison.comparator, self.comparison.value
        sought = number_or_none(value)
        if sought is None or number is None or comparator is Comparator.HAS:
            return self._text(column)
        if comparator in _EQUALITY:
            # 2024 finds the number and, where the value was logged as a text, the text.
            same_number = sa.and_(number.is_not(None), number == sa.literal(sought, sa.Double()))
            same = sa.or_(same_number, column == sa.literal(value.text, sa.Text()))
            return same if comparator is Comparator.EQUAL else sa.not_(same.self_group())
        return sa.and_(number.is_not(None), self._compare(number, sought, sa.Double()))

    def _expected(self, what: ValueError) -> StudbookError:
        return self._refusal(f"expected {what}, found {quote(self.comparison.value.text)}")

    def _refusal(self, problem: str) -> StudbookError:
        name = ".".join(self.comparison.path)
        return filter_invalid(
            self.text, self.comparison.value.column, f"{name} is {self.field.kind.value}: {problem}"
        )


def _matches(column: sa.ColumnElement[Any], pattern: Literal) -> sa.ColumnElement[bool]:
    """Whether a text matches `start*`, `*end` or `*part*`."""
    text = pattern.text[pattern.open_start :]
    text = text[:-1] if pattern.open_end and text else text
    if pattern.open_start and pattern.open_end:
        return contains(column, text)
    return ends_with(column, text) if pattern.open_start else starts_with(column, text)
