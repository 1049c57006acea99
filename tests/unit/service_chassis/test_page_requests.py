"""Page tokens, page sizes and the order_by language."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.errors import StudbookError
from service_chassis.listing import PageRequest
from service_chassis.order_by import MOST_ORDER_TERMS, OrderTerm, parse_order_by
from service_chassis.page_tokens import PageTokens
from studbook.tracking.v1.dataset_service_pb2 import ListDatasetRunsRequest
from studbook.tracking.v1.run_service_pb2 import ListRunsRequest

TOKENS = PageTokens(b"sixteen bytes or more")
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
)


@given(st.lists(values, max_size=5), st.text())
def test_tokens_lead_back_to_their_position(position: list[object], arguments: str) -> None:
    token = TOKENS.seal(tuple(position), arguments)  # type: ignore[arg-type]
    assert TOKENS.open(token, arguments) == tuple(position)
    assert set(token) <= set(base64.urlsafe_b64encode(bytes(range(256))).decode())
    assert "=" not in token


def test_tokens_hold_the_longest_values_that_lists_are_sorted_by() -> None:
    position = ("😀" * 8192,) * MOST_ORDER_TERMS
    token = TOKENS.seal(position, "arguments")
    assert TOKENS.open(token, "arguments") == position


TOKEN = TOKENS.seal(("hidden", 7), "arguments")


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_altered_tokens_are_refused(index: int, character: str) -> None:
    altered = TOKEN[:index] + character + TOKEN[index + 1 :]
    if altered == TOKEN:
        return
    with pytest.raises(StudbookError, match="not issued by this server") as caught:
        TOKENS.open(altered, "arguments")
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@given(st.text())
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(StudbookError, match="not issued by this server"):
        TOKENS.open(token, "arguments")


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t + "=", lambda t: t * 200]
)
def test_tokens_of_another_length_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(StudbookError, match="not issued by this server"):
        TOKENS.open(change(TOKEN), "arguments")


def test_tokens_of_another_key_are_refused() -> None:
    with pytest.raises(StudbookError, match="not issued by this server"):
        PageTokens(b"another secret of the service").open(TOKEN, "arguments")


def test_tokens_for_other_arguments_say_so() -> None:
    with pytest.raises(StudbookError, match="with other arguments") as caught:
        TOKENS.open(TOKEN, "other")
    assert caught.value.fields[0].field == "page_token"


def test_tokens_do_not_show_the_row_they_point_to() -> None:
    assert b"hidden" not in base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        PageTokens(b"short")


def read(request: ListRunsRequest) -> PageRequest:
    return PageRequest.read(request, default_order="create_time desc", tokens=TOKENS)


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (1000, 1000), (2**31 - 1, 1000)])
def test_page_sizes_are_kept_in_bounds(asked: int, given_: int) -> None:
    assert read(ListRunsRequest(page_size=asked)).size == given_


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(StudbookError) as caught:
        read(ListRunsRequest(page_size=-1))
    assert caught.value.reason == "FIELD_INVALID"
    assert caught.value.metadata == {"field": "page_size", "value": "-1"}


def test_requests_without_filter_and_order_have_the_default() -> None:
    page = PageRequest.read(ListDatasetRunsRequest(name="x"), default_order="a desc", tokens=TOKENS)
    assert page.filter is None
    assert page.order == (OrderTerm(("a",), descending=True),)


def test_a_token_of_one_method_does_not_fit_another() -> None:
    page = PageRequest.read(ListDatasetRunsRequest(name="x"), default_order="a", tokens=TOKENS)
    token = TOKENS.seal((1,), page.arguments)
    with pytest.raises(StudbookError, match="other arguments"):
        PageRequest.read(
            ListRunsRequest(parent="x", page_token=token), default_order="a", tokens=TOKENS
        )


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("name", [OrderTerm(("name",))]),
        ('"a b" desc', [OrderTerm(("a b",), descending=True)]),
        (" name  desc ", [OrderTerm(("name",), descending=True)]),
        ("a desc,b asc", [OrderTerm(("a",), descending=True), OrderTerm(("b",))]),
        (
            'metrics."val,loss".min desc, params.lr',
            [
                OrderTerm(("metrics", "val,loss", "min"), descending=True),
                OrderTerm(("params", "lr")),
            ],
        ),
    ],
)
def test_order_by_is_read(text: str, terms: list[OrderTerm]) -> None:
    assert list(parse_order_by(text)) == terms


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "a,",
        ",a",
        "a,,b",
        "a b",
        "a desc desc",
        "a DESC",
        "a, a desc",
        'a."b',
        "a.",
        "a;b",
        ",".join("abcdefghi"),
        "a" * 4097,
    ],
)
def test_other_orders_are_refused(text: str) -> None:
    with pytest.raises(StudbookError) as caught:
        parse_order_by(text)
    assert caught.value.reason == "ORDER_BY_INVALID"
