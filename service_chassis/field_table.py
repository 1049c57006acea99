"""Which fields a list can be filtered and sorted by, and where in the database they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement


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
class Lookup:
    """Where the values of a field are, when they are rows of a table of their own.

    Attributes:
        column: The column of the other table to compare.
        exists: Turns a condition on that column into one on the listed row, typically
            `EXISTS (...)` or `uid IN (...)`; must never be NULL.
        number: For VALUE, the column with the number.
    """

    column: ColumnElement[Any]
    exists: Callable[[ColumnElement[bool]], ColumnElement[bool]]
    number: ColumnElement[Any] | None = None


@dataclass(frozen=True, eq=False)
class Field:
    """One field of a list.

    Attributes:
        column: What to sort by and, without a lookup, to compare: a column, an expression or a
            correlated scalar subquery. NULL means missing.
        kind: What its values are.
        values: For ENUM, the numbers by name, with or without the common prefix.
        number: For VALUE, the column with the number.
        lookup: Where to compare instead of `column`; lets the database use an index.
        encode: Turns a value as written into the form that is stored, for fields with an order of
            their own; raises ValueError saying what was expected.
        keyed: Whether it is one key of a map, where an empty text counts as present. Set by
            `FieldTable` for dynamic fields.
    """

    column: ColumnElement[Any]
    kind: Kind
    values: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    number: ColumnElement[Any] | None = None
    lookup: Lookup | None = None
    encode: Callable[[str], str | int] | None = None
    keyed: bool = False


class FieldTable:
    """The fields that one List method can filter and sort by.

    Args:
        fields: Fields by name; names of nested fields are joined with `.`.
        dynamic: Resolves paths that are not among them, such as `("tags", "team")`.
        forms: How dynamic fields look, for error messages: `tags.{key}`.
        sortable: Names of the fields that `order_by` may name; None means all, dynamic ones
            included.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        dynamic: Callable[[tuple[str, ...]], Field | None] | None = None,
        *,
        forms: tuple[str, ...] = (),
        sortable: frozenset[str] | None = None,
    ) -> None:
        self._fields = dict(fields)
        self._dynamic = dynamic
        self._forms = forms
        self._sortable = sortable

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
        return self.find(path)

    def names(self) -> list[str]:
        """What filters may name, for error messages."""
        return [*sorted(self._fields), *self._forms]

    def sortable_names(self) -> list[str]:
        """What `order_by` may name, for error messages."""
        return self.names() if self._sortable is None else sorted(self._sortable)
