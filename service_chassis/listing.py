"""Lists: page size, page token, filter and order of every List method, in one place.

Pages are cut by the values of the last row, not by counting rows, so rows that come or go between
two pages make none of the others appear twice or be left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from service_chassis.errors import invalid_field
from service_chassis.field_table import Field, FieldTable, Kind, Lookup
from service_chassis.filter_grammar import Filter, parse_filter
from service_chassis.order_by import OrderTerm, parse_order_by
from service_chassis.page_plan import PagePlan
from service_chassis.page_query import PageQuery
from service_chassis.validation import LARGEST_PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa
    from google.protobuf.message import Message

    from service_chassis.page_tokens import PageTokens, SortValue

__all__ = [
    "Field",
    "FieldTable",
    "Kind",
    "Lookup",
    "PagePlan",
    "PageRequest",
    "list_page",
    "planned_page",
]

DEFAULT_PAGE_SIZE = 50
# A page ends early, with a token, when so many rows were looked at and the caller may see few.
MOST_ROWS_LOOKED_AT = 10_000
_SMALLEST_BATCH = 250


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


def list_page(
    connection: sa.Connection,
    base: sa.Select[Any],
    page: PageRequest,
    fields: FieldTable,
    tie_break: sa.ColumnElement[Any],
    visible: Callable[[sa.Row[Any]], bool] | None = None,
    within: sa.ColumnElement[bool] | None = None,
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
        within: A condition on all that is listed. Apart from `base`, because it is left out where
            the rows are found through a field whose lookup is `scoped`.

    Returns:
        The rows, with the values they are sorted by appended after the columns of `base`, and the
        token of the next page, empty at the end.

    Raises:
        StudbookError: FILTER_INVALID, ORDER_BY_INVALID, PAGE_TOKEN_INVALID.
    """
    plan = PagePlan(base, page.filter, page.order, page.order_by, fields, tie_break, within)
    return planned_page(connection, plan, page, visible)


def planned_page(
    connection: sa.Connection,
    plan: PagePlan,
    page: PageRequest,
    visible: Callable[[sa.Row[Any]], bool] | None = None,
) -> tuple[list[sa.Row[Any]], str]:
    """One page of a list as `list_page` gives it, by a plan made for its filter and order."""
    query = PageQuery(connection, plan)
    rows, last = _fill(query, plan, page, visible)
    token = "" if last is None else page.tokens.seal(plan.position(last), page.arguments)
    return rows, token


def _fill(
    query: PageQuery,
    plan: PagePlan,
    page: PageRequest,
    visible: Callable[[sa.Row[Any]], bool] | None,
) -> tuple[list[sa.Row[Any]], sa.Row[Any] | None]:
    """The rows of a page, and the row after which the next begins, if there is a next."""
    # One more than fits tells whether there is a next page.
    limit = page.size + 1
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
        after = plan.position(batch[-1])
        # The first batch did not do, so some rows are hidden; few small steps would be many.
        limit = max(page.size + 1, _SMALLEST_BATCH)
