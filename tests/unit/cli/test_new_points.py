"""Points of a run that goes on: each is given once, however late it comes, and few are read."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.cli import new_points
from studbook.cli.new_points import NewPoints
from studbook.exceptions import Unavailable
from tests.unit.cli.going_run import RUN, START_US, GoingRun, Taken

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000


def taken(reader: NewPoints) -> dict[str, Counter[tuple[int, int, float | None]]]:
    """What is new, by key; NaN as None."""
    return {
        key: Counter((point.time_us - START_US, point.step, point.value) for point in points)
        for key, points in reader.take().items()
    }


def counted(points: Sequence[Taken]) -> Counter[tuple[int, int, float | None]]:
    return Counter((time, step, None if math.isnan(v) else v) for time, step, v in points)


def look(reader: NewPoints, run: GoingRun) -> dict[str, Counter[tuple[int, int, float | None]]]:
    reader.look(run.summaries())
    return taken(reader)


def steady(count: int, first: int = 0) -> list[Taken]:
    """A point a second, each at its step."""
    return [(step * SECOND, step, float(step)) for step in range(first, first + count)]


@pytest.fixture
def run() -> GoingRun:
    return GoingRun()


@pytest.fixture
def reader(run: GoingRun) -> NewPoints:
    """A reader that began before anything was logged."""
    reader = NewPoints(run.client, RUN)
    reader.start([], START_US, 10)
    return reader


def test_nothing_is_read_while_nothing_is_new(run: GoingRun, reader: NewPoints) -> None:
    run.log("loss", *steady(3))
    look(reader, run)
    run.reads.clear()

    assert look(reader, run) == {}
    assert run.reads == []


def test_only_metrics_with_new_points_are_read_from_the_newest_on(
    run: GoingRun, reader: NewPoints
) -> None:
    run.log("acc", *steady(3))
    run.log("loss", *steady(3))
    look(reader, run)
    run.reads.clear()
    run.log("loss", (3 * SECOND, 3, 0.5))

    assert look(reader, run) == {"loss": Counter([(3 * SECOND, 3, 0.5)])}
    (read,) = run.reads
    assert list(read.keys) == ["loss"]
    assert read.min_time.ToMicroseconds() == START_US + 2 * SECOND


def test_a_point_of_the_same_microsecond_is_new(run: GoingRun, reader: NewPoints) -> None:
    run.log("loss", (5, 1, 0.5))
    look(reader, run)
    run.log("loss", (5, 1, 0.5), (5, 1, math.nan))

    assert look(reader, run) == {"loss": Counter([(5, 1, 0.5), (5, 1, None)])}


def test_steps_may_come_in_any_order(run: GoingRun, reader: NewPoints) -> None:
    run.log("loss", (1, 100, 1.0))
    look(reader, run)
    run.log("loss", (2, 7, 2.0))

    assert look(reader, run) == {"loss": Counter([(2, 7, 2.0)])}


def test_a_point_that_comes_late_is_looked_for(run: GoingRun, reader: NewPoints) -> None:
    run.log("loss", *steady(10))
    look(reader, run)
    run.log("loss", (3 * SECOND + 1, 3, 0.5))

    assert look(reader, run) == {"loss": Counter([(3 * SECOND + 1, 3, 0.5)])}
    assert reader.take_late() == []


def test_what_arrives_between_summary_and_read_is_given_once(
    run: GoingRun, reader: NewPoints
) -> None:
    run.log("loss", *steady(3))
    run.before_read = lambda: run.log("loss", *steady(1, first=len(run.series["loss"])))

    seen: Counter[tuple[int, int, float | None]] = Counter()
    for _ in range(5):
        seen += look(reader, run).get("loss", Counter())
    run.before_read = lambda: None
    seen += look(reader, run).get("loss", Counter())

    assert seen == counted(run.series["loss"])
    assert reader.take_late() == []


def test_the_last_points_of_a_long_series_are_found_without_reading_it(run: GoingRun) -> None:
    run.log("loss", *steady(100_000))
    reader = NewPoints(run.client, RUN)

    reader.start(run.summaries(), START_US, 10)

    given_first = taken(reader)["loss"]
    assert counted(run.series["loss"][-10:]) <= given_first
    assert given_first.total() < 100


def test_the_last_points_are_found_where_they_are_far_between(run: GoingRun) -> None:
    # Very many at first, few since.
    run.log("loss", *[(index, index, 0.0) for index in range(50_000)])
    run.log("loss", *[((600 + 60 * index) * SECOND, 50_000 + index, 1.0) for index in range(5)])
    reader = NewPoints(run.client, RUN)

    reader.start(run.summaries(), START_US, 20)

    assert counted(run.series["loss"][-20:]) <= taken(reader)["loss"]


def test_metrics_that_are_logged_together_are_read_together(run: GoingRun) -> None:
    for key in ("a", "b", "c"):
        run.log(key, *steady(1000))
    reader = NewPoints(run.client, RUN)

    reader.start(run.summaries(), START_US, 10)

    assert [sorted(read.keys) for read in run.reads] == [["a", "b", "c"]]


def test_late_points_from_before_the_beginning_are_told_of_once(run: GoingRun) -> None:
    run.log("loss", *steady(100_000))
    reader = NewPoints(run.client, RUN)
    reader.start(run.summaries(), START_US, 10)
    taken(reader)
    look(reader, run)

    for index in range(3):
        run.log("loss", (7 + index, 3, 0.5))
        assert look(reader, run) == {}
    assert reader.take_late() == ["loss"]
    assert reader.take_late() == []

    run.log("loss", (100_000 * SECOND, 100_000, 0.25))
    assert look(reader, run) == {"loss": Counter([(100_000 * SECOND, 100_000, 0.25)])}


def test_a_start_that_failed_is_begun_again_without_repeating(run: GoingRun) -> None:
    run.log("dense", *steady(5000))
    run.log("sparse", *[(step * 60 * SECOND, step, 1.0) for step in range(60)])
    reader = NewPoints(run.client, RUN)
    run.fails = [False, True]

    with pytest.raises(Unavailable):
        reader.start(run.summaries(), START_US, 10)
    reader.start(run.summaries(), START_US, 10)

    found = taken(reader)
    assert set(found) == {"dense", "sparse"}
    for key, points in found.items():
        assert points <= counted(run.series[key])


def test_old_points_are_forgotten_and_not_given_again(
    run: GoingRun, reader: NewPoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_points, "_REMEMBERED", 10)
    seen: Counter[tuple[int, int, float | None]] = Counter()
    for number in range(50):
        run.log("loss", *steady(3, first=3 * number))
        seen += look(reader, run)["loss"]
    # Late, yet within what is remembered.
    run.log("loss", (145 * SECOND + 1, 145, 0.5))
    seen += look(reader, run)["loss"]

    assert seen == counted(run.series["loss"])
    assert reader.take_late() == []


TIMES = st.integers(0, 20)
BATCH = st.lists(
    st.tuples(TIMES, st.integers(0, 3), st.sampled_from([0.0, 1.0, math.nan])), max_size=5
)
# Which metric grows, by what before a look and by what between its summaries and its reads, and
# which calls of the look fail.
Turn = tuple[str, list[Taken], list[Taken], list[bool]]
TURNS = st.lists(
    st.tuples(st.sampled_from("ab"), BATCH, BATCH, st.lists(st.booleans(), max_size=3)), max_size=12
)


def minutes(points: Sequence[Taken]) -> list[Taken]:
    return [(time * 60 * SECOND, step, value) for time, step, value in points]


def play(run: GoingRun, reader: NewPoints, turn: Turn) -> None:
    """Let points arrive while they are looked for."""
    key, before, between, fails = turn
    run.log(key, *before)
    pending = [between]
    run.before_read = lambda: run.log(key, *(pending.pop() if pending else []))
    run.fails = list(fails)
    with contextlib.suppress(Unavailable):
        reader.look(run.summaries())
    run.fails = []
    run.before_read = lambda: None


@given(TURNS)
def test_every_point_is_given_exactly_once(turns: list[Turn]) -> None:
    run = GoingRun()
    reader = NewPoints(run.client, RUN)
    reader.start([], START_US, 3)
    for turn in turns:
        play(run, reader, turn)
    reader.look(run.summaries())

    assert taken(reader) == {key: counted(there) for key, there in run.series.items() if there}
    assert reader.take_late() == []


@given(BATCH.filter(bool), TURNS)
def test_who_comes_later_is_given_what_comes_later(there: list[Taken], turns: list[Turn]) -> None:
    run = GoingRun()
    # Far apart, so that not all of it is read.
    run.log("a", *minutes(there * 3))
    reader = NewPoints(run.client, RUN)
    reader.start(run.summaries(), START_US, 1)
    first = taken(reader)["a"]
    since_us = min(time for time, _, _ in first)
    for key, before, between, fails in turns:
        play(run, reader, (key, minutes(before), minutes(between), fails))
    reader.look(run.summaries())

    seen = first + taken(reader).get("a", Counter())
    everything = counted(run.series["a"])
    assert seen <= everything
    assert all(time < since_us for time, _, _ in everything - seen)
