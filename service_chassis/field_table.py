"""Which fields a list can be filtered and sorted by, and where in the database they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ColumnElement, FromClause, Select


class Kind(Enum):
    """What the values of a field are, and so how they are written and compared."""

    TEXT = "a text"
    INTEGER = "a whole number"
    # Floating point. The column must hold NULL instead of NaN, which no two databases sort alike.
    NUMBER = "a number"
    BOOLEAN = "true or false"
    # Stored as microseconds since 1970.
    TIMESTAMP = "a timestamp"
    # Stored as the number of a protobuf enum.
    ENUM = "an enum"
    # Text or number, by entry: `column` holds the text form of every value and `number` the
    # number, NULL where the value is none.
    VALUE = "a number or a text"


@dataclass(frozen=True, eq=False)
class Way:
    """One of the ways in which a row of another table can meet a comparison.

    Attributes:
        condition: The condition on the row; never NULL.
        index: On SQLite, the index to ask whether a listed row has such a row; None leaves that to
            the planner, which takes the key of the other table. Rows of the same value lie close
            together in an index and all over the table, where a walk waits for the memory.
        unless_none: A wider condition. Where no row at all meets it, listed rows are not asked.
    """

    condition: ColumnElement[bool]
    index: str | None = None
    unless_none: ColumnElement[bool] | None = None


@dataclass(frozen=True, eq=False)
class Lookup:
    """Where the values of a field are, when they are rows of a table of their own.

    Attributes:
        column: The column of the other table to compare.
        source: The other table, perhaps joined to more; an alias of its own for each field.
        owner: The column of the other table that says which listed row a row belongs to.
        listed: The column of the listed rows that `owner` refers to.
        rows: Picks the field's rows of the other table.
        number: For VALUE, the column with the number as a double.
        integer: For VALUE, the column with the number where it is a whole one.
        scoped: Whether `rows` leaves only rows of what is listed, and an index finds them. Then
            matching rows can be looked up first, and the listed rows by them.
        indexed: Whether an index finds them by `column`, or by `number` for VALUE.
        ordered: Whether an index gives those rows in the order of `column`, or of `number` for
            VALUE, and then of `owner`; none has two of the same owner.
        equal_text: The condition that the column is a certain text, as an index serves it.
        number_index: Name of the index on what `rows` asks for, `number` and `owner`; None when
            `rows` asks for a choice of values.
        text_index: The same of the index that serves `equal_text`.
    """

    column: ColumnElement[Any]
    source: FromClause
    owner: ColumnElement[Any]
    listed: ColumnElement[Any]
    rows: ColumnElement[bool]
    number: ColumnElement[Any] | None = None
    integer: ColumnElement[Any] | None = None
    scoped: bool = False
    indexed: bool = False
    ordered: bool = False
    equal_text: Callable[[str], ColumnElement[bool]] | None = None
    number_index: str | None = None
    text_index: str | None = None

    def exists(
        self, ways: Sequence[Way], owner: ColumnElement[Any] | None = None
    ) -> ColumnElement[bool]:
        """Whether a listed row has a row that meets a comparison in some way; never NULL.

        Args:
            ways: How it can be met.
            owner: Where the value of `listed` is found as well.
        """
        if all(way.index is None for way in ways):
            ways = [Way(sa.or_(*(way.condition for way in ways)))]
        return sa.or_(*(self._has(way, owner) for way in ways))

    def _has(self, way: Way, owner: ColumnElement[Any] | None) -> ColumnElement[bool]:
        listed: Any = self.listed if owner is None else owner
        matching = self._by_index(self.owners(way.condition).where(self.owner == listed), way)
        # The offset keeps PostgreSQL from joining the whole table before the limit is applied.
        matching = matching.correlate(listed.table).suffix_with("OFFSET 0", dialect="postgresql")
        if way.unless_none is None:
            return sa.exists(matching)
        any_at_all = self._by_index(self.owners(way.unless_none).correlate(None), way)
        return sa.and_(sa.exists(any_at_all), sa.exists(matching))

    def _by_index(self, rows: Select[Any], way: Way) -> Select[Any]:
        if way.index is None:
            return rows
        return rows.with_hint(self.source, f"INDEXED BY {way.index}", "sqlite")

    def owners(self, condition: ColumnElement[bool]) -> Select[Any]:
        """The owners of the rows that meet a condition."""
        return sa.select(self.owner).select_from(self.source).where(self.rows, condition)


@dataclass(frozen=True, eq=False)
class Field:
    """One field of a list.

    Attributes:
        column: What to sort by and, without a lookup, to compare: a column, an expression or a
            correlated scalar subquery. NULL means missing; None, that it cannot be sorted by.
        kind: What its values are.
        values: For ENUM, the numbers by name, with or without the common prefix.
        number: For VALUE, the column with the number as a double.
        integer: For VALUE, the column with the number where it is a whole one.
        lookup: Where to compare instead of `column`; lets the database use an index.
        encode: Turns a value as written into the form that is stored, for fields with an order of
            their own; raises ValueError saying what was expected.
        keyed: Whether it is one key of a map or a field of repeated entries, where an empty text
            counts as present, and `:` means `=`. Set by `FieldTable` for dynamic fields.
        present: What `:*` asks of the other table; unset means that there is a value.
        qualified: For texts that are ids, chooses another column to compare when the value is
            written as a whole resource name.
    """

    column: ColumnElement[Any] | None
    kind: Kind
    values: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    number: ColumnElement[Any] | None = None
    integer: ColumnElement[Any] | None = None
    lookup: Lookup | None = None
    encode: Callable[[str], str | int] | None = None
    keyed: bool = False
    present: ColumnElement[bool] | None = None
    qualified: Callable[[str], ColumnElement[Any] | None] | None = None


class FieldTable:
    """The fields that one List method can filter and sort by.

    Args:
        fields: Fields by name; names of nested fields are joined with `.`.
        dynamic: Resolves paths that are not among them, such as `("tags", "team")`.
        forms: How dynamic fields look, for error messages: `tags.{key}`.
        sortable: Names of the fields that `order_by` may name; None means all that have a column
            to sort by, dynamic ones included.
        anywhere: The texts that a value without a field is looked for in.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        dynamic: Callable[[tuple[str, ...]], Field | None] | None = None,
        *,
        forms: tuple[str, ...] = (),
        sortable: frozenset[str] | None = None,
        anywhere: tuple[Field, ...] = (),
    ) -> None:
        self._fields = dict(fields)
        self._dynamic = dynamic
        self._forms = forms
        self._sortable = sortable
        self.anywhere = anywhere

    def find(self, path: tuple[str, ...]) -> Field | None:
        """The field at a path, None when there is none."""
        found = self._fields.get(".".join(path))
        if found is None and self._dynamic is not None:
            found = self._dynamic(path)
            return None if found is None else replace(found, keyed=True)
        return found

    def find_sortable(self, path: tuple[str, ...]) -> Field | None:
        """The field at a path if `order_by` may name it."""
        if self._sortable is not None and ".".join(path) not in self._sortable:
            return None
        found = self.find(path)
        return None if found is None or found.column is None else found

    def names(self) -> list[str]:
        """What filters may name, for error messages."""
        return [*sorted(self._fields), *self._forms]

    def sortable_names(self) -> list[str]:
        """What `order_by` may name, for error messages."""
        return self.names() if self._sortable is None else sorted(self._sortable)
