"""Paging shows every row once, in one order on both databases, whatever happens meanwhile."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from service_chassis import listing
from service_chassis.errors import StudbookError
from service_chassis.listing import FieldTable, PageRequest, list_page
from service_chassis.page_tokens import PageTokens
from studbook.tracking.v1.run_service_pb2 import ListRunsRequest
from tests.store.service_chassis.cellar import (
    BOTTLES,
    FIELDS,
    FILLED,
    LABELS,
    METADATA,
    SCORES,
    TAG_VALUES,
    Bottle,
    bottles,
    insert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENS = PageTokens(b"sixteen bytes or more")
ORDERS = [
    "",
    "label",
    "label desc, fill_time",
    "score, label desc",
    "score desc",
    "open desc, year",
    'tags."x/y" desc, tags.team',
    "indexed.team",
]


@pytest.fixture(scope="module")
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    METADATA.create_all(engine)
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def filled(connection: sa.Connection) -> Iterator[sa.Connection]:
    with connection.begin() as transaction:
        insert(connection, bottles())
        yield connection
        transaction.rollback()


def page(
    connection: sa.Connection,
    request: ListRunsRequest,
    visible: Callable[[sa.Row[tuple[object, ...]]], bool] | None = None,
) -> tuple[list[str], str]:
    read = PageRequest.read(request, default_order="fill_time desc", tokens=TOKENS)
    base = sa.select(BOTTLES)
    rows, token = list_page(connection, base, read, FIELDS, BOTTLES.c.uid, visible)
    return [row.uid for row in rows], token


def all_pages(
    connection: sa.Connection,
    size: int,
    visible: Callable[[sa.Row[tuple[object, ...]]], bool] | None = None,
    **arguments: Any,
) -> list[list[str]]:
    pages = []
    request = ListRunsRequest(page_size=size, **arguments)
    while True:
        uids, request.page_token = page(connection, request, visible)
        pages.append(uids)
        if not request.page_token:
            return pages


def flat(pages: list[list[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(pages))


def expected_order(rows: list[Bottle], order: str) -> list[str]:
    """The order by plain Python: missing last in both directions, then the uid."""

    def tag(key: str) -> Callable[[Bottle], list[object]]:
        def read(row: Bottle) -> list[object]:
            value = row.tags.get(key)
            return [
                value if isinstance(value, float) else None,
                None if value is None else str(value),
            ]

        return read

    readers: dict[str, Callable[[Bottle], list[object]]] = {
        "label": lambda row: [row.label],
        "fill_time": lambda row: [row.filled],
        "score": lambda row: [row.score],
        "open": lambda row: [row.open],
        "year": lambda row: [row.year],
        'tags."x/y"': tag("x/y"),
        "tags.team": tag("team"),
        "indexed.team": tag("team"),
    }
    terms = [part.strip().partition(" ") for part in (order or "fill_time desc").split(",")]
    ordered = sorted(rows, key=lambda row: row.uid, reverse=terms[0][2] == "desc")
    for name, _, direction in reversed(terms):
        for index in reversed(range(len(readers[name](rows[0])))):
            present = [row for row in ordered if readers[name](row)[index] is not None]
            missing = [row for row in ordered if readers[name](row)[index] is None]

            def value(row: Bottle, name: str = name, index: int = index) -> object:
                return readers[name](row)[index]

            # Python's sort is stable in both directions.
            present.sort(key=value, reverse=direction == "desc")  # type: ignore[arg-type]
            ordered = present + missing
    return [row.uid for row in ordered]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 7, 119, 120])
def test_pages_follow_the_order(filled: sa.Connection, order: str, size: int) -> None:
    pages = all_pages(filled, size, order_by=order)
    assert flat(pages) == expected_order(bottles(), order)
    assert all(len(uids) == size for uids in pages[:-1])


fresh_rows = st.builds(
    lambda label, score, filled, team: Bottle(
        "", label, None, score, None, filled, 1, {"team": team} if team is not None else {}
    ),
    st.sampled_from(LABELS),
    st.sampled_from(SCORES),
    st.sampled_from(FILLED),
    st.sampled_from(TAG_VALUES),
)


@settings(max_examples=40)
@given(data=st.data())
def test_rows_that_come_and_go_disturb_no_others(
    connection: sa.Connection, data: st.DataObject
) -> None:
    counter = itertools.count()

    def add(rows: list[Bottle]) -> set[str]:
        # Uids in no order that has to do with the time of arrival.
        named = [
            Bottle(f"{next(counter) * 7919 % 1000:03}", *list(vars(row).values())[1:])
            for row in rows
        ]
        insert(connection, named)
        return {row.uid for row in named}

    with connection.begin() as transaction:
        steady = add(data.draw(st.lists(fresh_rows, max_size=25)))
        request = ListRunsRequest(
            page_size=data.draw(st.integers(1, 6)), order_by=data.draw(st.sampled_from(ORDERS))
        )
        seen: list[str] = []
        while True:
            uids, request.page_token = page(connection, request)
            seen += uids
            if not request.page_token:
                break
            if len(seen) < 100:
                add(data.draw(st.lists(fresh_rows, max_size=2)))
            if data.draw(st.booleans()) and steady:
                gone = data.draw(st.sampled_from(sorted(steady)))
                connection.execute(BOTTLES.delete().where(BOTTLES.c.uid == gone))
                steady.discard(gone)
        assert len(seen) == len(set(seen))
        assert steady <= set(seen)
        transaction.rollback()


def test_pages_are_full_although_rows_are_hidden(filled: sa.Connection) -> None:
    shown = {row.uid for row in bottles() if int(row.uid[1:]) % 3 == 0}
    pages = all_pages(filled, 7, lambda row: row.uid in shown)
    assert sorted(flat(pages)) == sorted(shown)
    assert [len(uids) for uids in pages] == [7] * 5 + [5]


def test_hidden_rows_do_not_promise_another_page(filled: sa.Connection) -> None:
    first = expected_order(bottles(), "")[:5]
    assert all_pages(filled, 5, lambda row: row.uid in first) == [first]


def test_a_page_ends_early_when_many_rows_are_hidden(
    filled: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_ROWS_LOOKED_AT", 50)
    monkeypatch.setattr(listing, "_SMALLEST_BATCH", 10)
    last = expected_order(bottles(), "")[-1]
    pages = all_pages(filled, 5, lambda row: row.uid == last)
    assert flat(pages) == [last]
    assert len(pages) == 3


def test_filter_and_order_work_together(filled: sa.Connection) -> None:
    pages = all_pages(filled, 4, filter="year >= 0", order_by="label desc")
    rows = [row for row in bottles() if row.year is not None and row.year >= 0]
    assert flat(pages) == expected_order(rows, "label desc")


def test_tokens_hold_only_for_the_same_arguments(filled: sa.Connection) -> None:
    request = ListRunsRequest(parent="workspaces/a/experiments/-", page_size=3)
    _, token = page(filled, request)
    request.page_token = token
    request.page_size = 9
    assert len(page(filled, request)[0]) == 9
    for changed in (
        ListRunsRequest(parent="workspaces/b/experiments/-", page_token=token),
        ListRunsRequest(parent=request.parent, page_token=token, filter="year = 7"),
        ListRunsRequest(parent=request.parent, page_token=token, order_by="label"),
        ListRunsRequest(parent=request.parent, page_token=token, show_deleted=True),
    ):
        with pytest.raises(StudbookError, match="other arguments") as caught:
            page(filled, changed)
        assert caught.value.reason == "PAGE_TOKEN_INVALID"


def test_only_known_fields_can_be_sorted_by(filled: sa.Connection) -> None:
    with pytest.raises(
        StudbookError, match=r'no field "colour" to sort by; there are .*tags\.\{key\}'
    ) as caught:
        page(filled, ListRunsRequest(order_by="colour"))
    assert caught.value.reason == "ORDER_BY_INVALID"


def test_a_table_can_restrict_what_is_sorted_by(filled: sa.Connection) -> None:
    fields = FieldTable(
        {"label": listing.Field(BOTTLES.c.label, listing.Kind.TEXT)}, sortable=frozenset()
    )
    read = PageRequest.read(ListRunsRequest(), default_order="label", tokens=TOKENS)
    with pytest.raises(StudbookError, match='no field "label" to sort by'):
        list_page(filled, sa.select(BOTTLES), read, fields, BOTTLES.c.uid)
