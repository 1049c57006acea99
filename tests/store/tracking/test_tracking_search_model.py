"""ListRuns against an oracle in plain Python: any filter, any order, any size of page."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_chassis import page_query
from studbook.tracking.v1 import run_service_pb2 as pb
from tests.store.tracking import search_oracle as oracle
from tests.store.tracking.at_work import WINE, WORKSPACE
from tests.store.tracking.search_filters import FACTS, FILTERS, Meaning, written_paths

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking
    from tests.store.tracking.search_oracle import SortKeys

RUNS = oracle.known_runs(40)
PARENTS = (WINE, f"{WORKSPACE}/experiments/-")
# Steps of a walk before anything is counted, most rows counted, rows that are few: how pages are
# found must not show in what is on them.
WAYS = ((2_000, 20_000, 2_000), (1, 0, 0), (2, 1_000, 0), (4, 5, 3))

filters = st.one_of(st.just(Meaning("", lambda _: True)), FILTERS)


@dataclass(frozen=True)
class Order:
    """An `order_by` and what it means."""

    text: str
    terms: list[tuple[SortKeys, bool]]


_KEYED = {"params": oracle.PARAM_KEYS, "tags": oracle.TAG_KEYS, "metrics": oracle.METRIC_KEYS}
# Equally often each kind of field.
_sortable = st.one_of(
    st.sampled_from([place.path for place in FACTS]),
    *(
        st.sampled_from([(kind, key) for key in keys])
        for kind, keys in (*_KEYED.items(), *_KEYED.items())
    ),
    st.tuples(
        st.just("metrics"), st.sampled_from(oracle.METRIC_KEYS), st.sampled_from(oracle.FIGURES)
    ),
)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    paths = draw(st.lists(_sortable, unique=True, max_size=4))
    if not paths:
        return Order("", [(oracle.sort_keys(("create_time",)), True)])
    texts, terms = [], []
    for path in paths:
        direction = draw(st.sampled_from(("", " asc", " desc")))
        texts.append(draw(written_paths(path)) + direction)
        terms.append((oracle.sort_keys(path), direction == " desc"))
    return Order(draw(st.sampled_from((",", ", "))).join(texts), terms)


@pytest.fixture
def runs(tracking: Tracking) -> Tracking:
    oracle.store(tracking, RUNS)
    return tracking


def expected(meaning: Meaning, order: Order) -> list[str]:
    return [run.id for run in oracle.in_order(RUNS, order.terms) if meaning.holds(run)]


def set_way(patch: pytest.MonkeyPatch, way: tuple[int, int, int]) -> None:
    for name, value in zip(("_FIRST_STEPS", "_MOST_COUNTED", "_FEW"), way, strict=True):
        patch.setattr(page_query, name, value)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    meaning=filters,
    order=orders(),
    page_size=st.integers(0, 12),
    parent=st.sampled_from(PARENTS),
    way=st.sampled_from(WAYS),
)
def test_lists_hold_what_the_filter_means_in_the_order_asked_for(
    runs: Tracking,
    meaning: Meaning,
    order: Order,
    page_size: int,
    parent: str,
    way: tuple[int, int, int],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        set_way(patch, way)
        listed = runs.list_runs(
            parent, filter=meaning.text, order_by=order.text, page_size=page_size
        )

    assert listed == expected(meaning, order)


class Newcomers:
    """Runs that are created, logged into and deleted while others are listed."""

    def __init__(self, tracking: Tracking, data: st.DataObject) -> None:
        self._tracking = tracking
        self._data = data
        self._names: list[str] = []
        self._sequences = itertools.count(1)

    def write(self) -> None:
        for _ in range(self._data.draw(st.integers(0, 2))):
            step = self._data.draw(st.sampled_from((self._create, self._log, self._delete)))
            step()

    def leave(self) -> None:
        while self._names:
            self._delete()

    def _create(self) -> None:
        value = self._data.draw(st.sampled_from((0.1, 7, "7", "a")))
        made = self._tracking.run(tags={"team": str(value)})
        self._tracking.log(made.name, params=dict.fromkeys(oracle.PARAM_KEYS, value))
        self._names.append(made.name)
        self._log()

    def _log(self) -> None:
        if self._names:
            name = self._data.draw(st.sampled_from(self._names))
            points = [(1, self._data.draw(st.sampled_from(oracle.METRIC_VALUES)))]
            series: dict[str, Any] = dict.fromkeys(oracle.METRIC_KEYS, points)
            self._tracking.append(name, sequence=next(self._sequences), **series)

    def _delete(self) -> None:
        if self._names:
            self._tracking.delete(self._names.pop())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    meaning=filters,
    order=orders(),
    page_size=st.integers(1, 12),
    way=st.sampled_from(WAYS),
)
def test_no_run_is_lost_or_repeated_while_others_are_written(
    runs: Tracking,
    data: st.DataObject,
    meaning: Meaning,
    order: Order,
    page_size: int,
    way: tuple[int, int, int],
) -> None:
    steady = {run.id for run in RUNS}
    newcomers = Newcomers(runs, data)
    request = pb.ListRunsRequest(
        parent=WINE, filter=meaning.text, order_by=order.text, page_size=page_size
    )
    listed: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        set_way(patch, way)
        is_last = False
        while not is_last:
            newcomers.write()
            page = runs.call("ListRuns", request)
            listed += page.runs
            request.page_token = page.next_page_token
            is_last = not page.next_page_token
    newcomers.leave()

    ids = [run.name.rsplit("/", 1)[1] for run in listed]
    assert [run_id for run_id in ids if run_id in steady] == expected(meaning, order)
