"""Lists: page size, page token, filter and order of every List method, in one place.

Pages are cut by the values of the last row, not by counting rows, so rows that come or go between
two pages make none of the others appear twice or be left out.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.errors import invalid_field
from service_chassis.field_table import Field, FieldTable, Kind, Lookup
from service_chassis.filter_grammar import Filter, parse_filter
from service_chassis.filter_sql import compile_filter
from service_chassis.sql_text import by_bytes
from service_chassis.validation import LARGEST_PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from service_chassis.errors import StudbookError
    from service_chassis.page_tokens import PageTokens, SortValue

__all__ = ["Field", "FieldTable", "Kind", "Lookup", "OrderTerm", "PageRequest", "list_page"]

DEFAULT_PAGE_SIZE = 50
LONGEST_ORDER_BY = 512
MOST_ORDER_TERMS = 8
# A page ends early, with a token, when so many rows were looked at and the caller may see few.
MOST_ROWS_LOOKED_AT = 10_000
_SMALLEST_BATCH = 250

# Commas outside quotes.
_COMMA = re.compile(r""",(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_ORDER_TERM = re.compile(
    r"""\s*(?P<path>\w[\w-]*(?:\.(?:\w[\w-]*|"[^"]*"))*)(?:\s+(?P<direction>asc|desc))?\s*"""
)
_PATH_PART = re.compile(r'"([^"]*)"|([\w-]+)')


@dataclass(frozen=True)
class OrderTerm:
    """One field of `order_by`."""

    path: tuple[str, ...]
    descending: bool = False


def parse_order_by(text: str) -> tuple[OrderTerm, ...]:
    """The fields of an `order_by` such as `metrics."val/loss".min, create_time desc`.

    Raises:
        StudbookError: ORDER_BY_INVALID.
    """
    remedy = "give fields separated by commas, each optionally followed by desc"
    if len(text) > LONGEST_ORDER_BY or text.count("\0"):
        raise _order_refusal(text, f"{remedy}, at most {LONGEST_ORDER_BY} characters in all")
    terms: list[OrderTerm] = []
    for part in _COMMA.split(text):
        match = _ORDER_TERM.fullmatch(part)
        if match is None:
            raise _order_refusal(text, remedy)
        path = tuple(quoted or plain for quoted, plain in _PATH_PART.findall(match["path"]))
        if path in {term.path for term in terms}:
            raise _order_refusal(text, f"{match['path']} stands there twice; leave one out")
        terms.append(OrderTerm(path, match["direction"] == "desc"))
    if len(terms) > MOST_ORDER_TERMS:
        raise _order_refusal(text, f"give at most {MOST_ORDER_TERMS} fields")
    return tuple(terms)


def _order_refusal(text: str, remedy: str) -> StudbookError:
    return invalid_field("order_by", text, remedy, reason="ORDER_BY_INVALID")


@dataclass(frozen=True)
class PageRequest:
    """What a List request asks for.

    Attributes:
        size: Most rows on the page.
        filter: The filter; None lets everything through.
        order: The fields to sort by.
        order_by: The same as text, for errors.
        after: Values of the row after which the page begins; None for the first page.
        arguments: Fingerprint of the request, page size and token aside.
    """

    size: int
    filter: Filter | None
    order: tuple[OrderTerm, ...]
    order_by: str
    after: tuple[SortValue, ...] | None
    arguments: str
    tokens: PageTokens = field(repr=False)

    @classmethod
    def read(cls, request: Message, *, default_order: str, tokens: PageTokens) -> PageRequest:
        """Read a List request; `filter` and `order_by` need not be among its fields.

        Raises:
            StudbookError: FIELD_INVALID for a negative page size, FILTER_INVALID,
                ORDER_BY_INVALID, PAGE_TOKEN_INVALID.
        """
        fields: Any = request
        if fields.page_size < 0:
            raise invalid_field("page_size", fields.page_size, "give 0 for the default, or more")
        order_by = getattr(request, "order_by", "").strip() or default_order
        arguments = _fingerprint(request, order_by)
        token = fields.page_token
        return cls(
            size=min(fields.page_size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE),
            filter=parse_filter(getattr(request, "filter", "")),
            order=parse_order_by(order_by),
            order_by=order_by,
            after=tokens.open(token, arguments) if token else None,
            arguments=arguments,
            tokens=tokens,
        )


def _fingerprint(request: Message, order_by: str) -> str:
    rest = type(request)()
    rest.CopyFrom(request)
    rest.ClearField("page_size")
    rest.ClearField("page_token")
    content = rest.SerializeToString(deterministic=True)
    # The order is in it because the default may change with the next release.
    context = f"{request.DESCRIPTOR.full_name}\0{order_by}\0".encode()
    return hashlib.sha256(context + content).hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class _SortKey:
    """One expression to sort by; missing values come last in both directions."""

    expression: sa.ColumnElement[Any]
    descending: bool
    nullable: bool

    def order(self) -> sa.ColumnElement[Any]:
        directed = self.expression.desc() if self.descending else self.expression.asc()
        # Without NULLs the clause would only keep the database from using an index.
        return directed.nulls_last() if self.nullable else directed

    def bind(self, value: SortValue) -> sa.ColumnElement[Any]:
        return sa.literal(value, self.expression.type)

    def after(self, value: SortValue) -> sa.ColumnElement[bool]:
        """Whether a row stands after those with this value."""
        if value is None:
            return sa.false()
        sought = self.bind(value)
        beyond = self.expression < sought if self.descending else self.expression > sought
        return sa.or_(beyond, self.expression.is_(None)) if self.nullable else beyond

    def same(self, value: SortValue) -> sa.ColumnElement[bool]:
        return self.expression.is_(None) if value is None else self.expression == self.bind(value)

    def not_before(self, value: SortValue) -> sa.ColumnElement[bool] | None:
        """Implied by the rest of the condition, but one that an index can serve."""
        if value is None or self.nullable:
            return None
        sought = self.bind(value)
        return self.expression <= sought if self.descending else self.expression >= sought


def _sort_keys(page: PageRequest, fields: FieldTable) -> Iterator[_SortKey]:
    for term in page.order:
        found = fields.find_sortable(term.path)
        if found is None:
            raise _order_refusal(
                page.order_by,
                f"there is no {'.'.join(term.path)} to sort by; "
                f"there are {', '.join(fields.sortable_names())}",
            )
        if found.kind is Kind.VALUE and found.number is not None:
            # Numbers first, in their order, then texts in theirs.
            yield _SortKey(found.number, term.descending, nullable=True)
        yield _sort_key(found.column, descending=term.descending)


def _sort_key(column: sa.ColumnElement[Any], *, descending: bool) -> _SortKey:
    nullable = not isinstance(column, sa.Column) or bool(column.nullable)
    is_text = isinstance(column.type, sa.String)
    return _SortKey(by_bytes(column) if is_text else column, descending, nullable)


def _condition(keys: list[_SortKey], position: tuple[SortValue, ...]) -> sa.ColumnElement[bool]:
    """Whether a row stands after a position."""
    condition: sa.ColumnElement[bool] = sa.false()
    for key, value in zip(reversed(keys), reversed(position), strict=True):
        condition = sa.or_(key.after(value), sa.and_(key.same(value), condition))
    bound = keys[0].not_before(position[0])
    return condition if bound is None else sa.and_(bound, condition)


@dataclass(frozen=True, eq=False)
class _Query:
    """The rows of a list from some position on."""

    connection: sa.Connection
    statement: sa.Select[Any]
    keys: list[_SortKey]

    def position(self, row: sa.Row[Any]) -> tuple[SortValue, ...]:
        return tuple(row)[-len(self.keys) :]

    def rows(self, after: tuple[SortValue, ...] | None, limit: int) -> list[sa.Row[Any]]:
        statement = self.statement
        if after is not None:
            statement = statement.where(_condition(self.keys, after))
        return list(self.connection.execute(statement.limit(limit)))


def list_page(
    connection: sa.Connection,
    base: sa.Select[Any],
    page: PageRequest,
    fields: FieldTable,
    tie_break: sa.ColumnElement[Any],
    visible: Callable[[sa.Row[Any]], bool] | None = None,
) -> tuple[list[sa.Row[Any]], str]:
    """One page of a list.

    Args:
        connection: Connection to read with.
        base: Selects what is listed, without order and limit.
        page: What was asked for.
        fields: What can be filtered and sorted by.
        tie_break: A unique column that is never NULL, for rows that are otherwise alike.
        visible: Says whether the caller may see a row. Where it hides many, the page may be
            short before the last one.

    Returns:
        The rows, with the values they are sorted by appended after the columns of `base`, and the
        token of the next page, empty at the end.

    Raises:
        StudbookError: FILTER_INVALID, ORDER_BY_INVALID, PAGE_TOKEN_INVALID.
    """
    descending = page.order[0].descending
    keys = [*_sort_keys(page, fields), _sort_key(tie_break, descending=descending)]
    statement = base.add_columns(
        *(key.expression.label(f"sort_value_{index}") for index, key in enumerate(keys))
    ).order_by(*(key.order() for key in keys))
    if page.filter is not None:
        statement = statement.where(compile_filter(page.filter, fields))
    query = _Query(connection, statement, keys)
    rows, last = _fill(query, page, visible)
    token = "" if last is None else page.tokens.seal(query.position(last), page.arguments)
    return rows, token


def _fill(
    query: _Query, page: PageRequest, visible: Callable[[sa.Row[Any]], bool] | None
) -> tuple[list[sa.Row[Any]], sa.Row[Any] | None]:
    """The rows of a page, and the row after which the next begins, if there is a next."""
    # One more than fits tells whether there is a next page.
    limit = page.size + 1 if visible is None else max(page.size + 1, _SMALLEST_BATCH)
    rows: list[sa.Row[Any]] = []
    after = page.after
    looked_at = 0
    while True:
        batch = query.rows(after, limit)
        for row in batch:
            if visible is None or visible(row):
                if len(rows) == page.size:
                    return rows, rows[-1]
                rows.append(row)
        looked_at += len(batch)
        if len(batch) < limit:
            return rows, None
        if looked_at >= MOST_ROWS_LOOKED_AT:
            return rows, batch[-1]
        after = query.position(batch[-1])
