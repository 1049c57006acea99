"""Turns parsed filters into SQL conditions.

Only fields of a `FieldTable` can be named, and values reach the database as bound parameters only.

Conditions are two-valued. A missing value matches no comparison, also not `!=`, as AIP-160 wants
it; `NOT` of a comparison does match it. So `tags.team != "a"` finds what has another team,
`NOT tags.team = "a"` also what has none. Of a field with several values one has to match.

`field:*` asks whether a value is there. An empty text counts as missing, as it does in protobuf,
unless it is the value of a map's key. `map:key` asks whether a map has a key. Otherwise `:` finds
a part of a text that is a field of its own, and means `=` everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from service_chassis.errors import StudbookError, quote
from service_chassis.filter_condition import Condition
from service_chassis.filter_grammar import (
    And,
    Anywhere,
    Comparator,
    Comparison,
    Filter,
    Node,
    Not,
    filter_invalid,
)
from service_chassis.filter_text import Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from service_chassis.field_table import Field, FieldTable


@dataclass(frozen=True, eq=False)
class Conjunct:
    """One of the conditions that all must hold.

    Attributes:
        at: The condition on the listed row; true or false, never NULL. What it asks of other
            tables it asks about the value of a column, by default `Lookup.listed`. Where a walk
            has that value from elsewhere, the listed row need not be read to know the answer.
        listed: The column of the listed rows that `found_by` gives values of.
        found_by: Selects the rows that meet it, one or the other, from where an index finds them;
            empty when none does.
        is_equality: Whether it asks for one value of many, so that few rows are likely to meet it.
    """

    at: Callable[[sa.ColumnElement[Any] | None], sa.ColumnElement[bool]]
    listed: sa.ColumnElement[Any] | None = None
    found_by: tuple[sa.Select[Any], ...] = ()
    is_equality: bool = False

    def owners(self) -> sa.Select[Any] | sa.CompoundSelect[Any]:
        """The rows that meet it, some perhaps more than once; it must be found by an index."""
        return self.found_by[0] if len(self.found_by) == 1 else sa.union_all(*self.found_by)


def compile_filter(parsed: Filter, table: FieldTable) -> list[Conjunct]:
    """The conditions of a filter.

    Raises:
        StudbookError: FILTER_INVALID when a field does not exist, or cannot be compared so.
    """
    compiler = _Compiler(parsed.text, table)
    operands = parsed.root.operands if isinstance(parsed.root, And) else (parsed.root,)
    return [compiler.conjunct(operand) for operand in operands]


@dataclass(frozen=True)
class _Compiler:
    text: str
    table: FieldTable

    def conjunct(self, node: Node) -> Conjunct:
        if isinstance(node, Comparison):
            return self._comparison(node)
        if isinstance(node, Anywhere):
            return self._anywhere(node.value)
        if isinstance(node, Not):
            operand = self.conjunct(node.operand)
            return Conjunct(lambda owner: sa.not_(operand.at(owner).self_group()))
        parts = [self.conjunct(operand) for operand in node.operands]
        return _all(parts) if isinstance(node, And) else _either(parts)

    def _comparison(self, comparison: Comparison) -> Conjunct:
        field = self.table.find(comparison.path)
        return (
            self._key_presence(comparison) if field is None else self._compared(field, comparison)
        )

    def _compared(self, field: Field, comparison: Comparison) -> Conjunct:
        condition = Condition(self.text, comparison, field)
        lookup = field.lookup
        if lookup is None:
            on_listed_row = condition.on_listed_row()
            return Conjunct(lambda _: on_listed_row, is_equality=condition.is_equality)
        ways = condition.on_other_table(lookup)
        is_found = lookup.scoped and condition.is_served(lookup)
        found_by = tuple(lookup.owners(way.condition) for way in ways) if is_found else ()
        return Conjunct(
            lambda owner: lookup.exists(ways, owner),
            lookup.listed,
            found_by,
            condition.is_equality,
        )

    def _key_presence(self, comparison: Comparison) -> Conjunct:
        """`tags:team`, which asks whether the map has the key."""
        value = comparison.value
        if comparison.comparator is Comparator.HAS and not value.pattern:
            path = (*comparison.path, value.text)
            if self.table.find(path) is not None:
                anything = Literal("*", quoted=False, column=value.column, pattern=("", ""))
                return self._comparison(
                    Comparison(path, Comparator.HAS, anything, comparison.column)
                )
        raise filter_invalid(
            self.text,
            comparison.column,
            f"there is no field {quote('.'.join(comparison.path))} to filter by; "
            f"there are {', '.join(self.table.names())}",
        )

    def _anywhere(self, value: Literal) -> Conjunct:
        if not self.table.anywhere:
            raise self._unsaid(value, "a text alone is not looked for here")
        if value.is_any:
            raise self._unsaid(value, "a * alone says nothing")
        if not value.quoted and self.table.find(tuple(value.text.split("."))) is not None:
            raise self._unsaid(
                value,
                f'{value.text} is a field; put it in quotes to look for the text "{value.text}"',
            )
        comparator = Comparator.EQUAL if value.pattern else Comparator.HAS
        sought = Comparison(("text",), comparator, value, value.column)
        return _either([self._compared(field, sought) for field in self.table.anywhere])

    def _unsaid(self, value: Literal, problem: str) -> StudbookError:
        remedy = f"; compare a field with a value: there are {', '.join(self.table.names())}"
        return filter_invalid(self.text, value.column, problem + remedy)


def _all(parts: list[Conjunct]) -> Conjunct:
    """All of several."""
    return Conjunct(lambda owner: sa.and_(*(part.at(owner).self_group() for part in parts)))


def _either(parts: list[Conjunct]) -> Conjunct:
    """One of several; found by index when each of them is."""
    found_by: tuple[sa.Select[Any], ...] = ()
    if all(part.found_by for part in parts):
        found_by = tuple(select for part in parts for select in part.found_by)
    return Conjunct(
        lambda owner: sa.or_(*(part.at(owner).self_group() for part in parts)),
        parts[0].listed if found_by else None,
        found_by,
    )
