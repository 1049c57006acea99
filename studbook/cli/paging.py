"""Reads lists page by page, up to the number of rows that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The server cuts larger pages down to this.
_LARGEST_PAGE = 1000


class ListRequest(Protocol):
    """What every request message of a List call has."""

    page_size: int
    page_token: str


class ListResponse(Protocol):
    """What every response message of a List call has."""

    next_page_token: str


RequestT = TypeVar("RequestT", bound=ListRequest)
ResponseT = TypeVar("ResponseT", bound=ListResponse)
RowT = TypeVar("RowT")


def collect(
    call: Callable[[RequestT], ResponseT],
    request: RequestT,
    rows: Callable[[ResponseT], Iterable[RowT]],
    limit: int | None = None,
) -> list[RowT]:
    """Call until all rows, or as many as the limit, have come.

    Args:
        call: A List method of a stub.
        request: The request of the first page; its paging fields are overwritten.
        rows: Takes the rows out of a response.
        limit: Most rows to read; None reads all.
    """
    found: list[RowT] = []
    while limit is None or len(found) < limit:
        request.page_size = (
            _LARGEST_PAGE if limit is None else min(limit - len(found), _LARGEST_PAGE)
        )
        page = call(request)
        found.extend(rows(page))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    return found
