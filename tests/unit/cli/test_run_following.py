"""Following a run: the last steps, then what comes, until it ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from studbook.cli.new_points import Point
from studbook.cli.run_following import (
    Event,
    Follower,
    Missed,
    ServerAway,
    ServerBack,
    StateSeen,
    Step,
    side_by_side,
)
from studbook.exceptions import NotFound, Unavailable
from studbook.tracking.v1 import run_pb2
from tests.unit.cli.going_run import RUN, GoingRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECOND = 1_000_000


def follow(
    run: GoingRun, *turns: Callable[[], Any], waits: list[float] | None = None, **options: Any
) -> list[Event]:
    """All events; each of the turns is done while the follower waits, the last one ends the run."""
    left = [*turns, run.end]

    def wait(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)
        left.pop(0)()

    return list(Follower(run.client, RUN, wait=wait, **options).events())


def steps(events: Sequence[Event]) -> list[tuple[int, dict[str, float]]]:
    return [(event.step, event.values) for event in events if isinstance(event, Step)]


def states(events: Sequence[Event]) -> list[run_pb2.RunState.ValueType]:
    return [event.run.state for event in events if isinstance(event, StateSeen)]


@pytest.fixture
def run() -> GoingRun:
    return GoingRun()


def test_the_last_steps_then_what_comes_then_the_end(run: GoingRun) -> None:
    run.log("loss", *[(step * SECOND, step, step / 2) for step in range(5)])

    events = follow(run, lambda: run.log("loss", (5 * SECOND, 5, 2.5)), lines=2)

    assert steps(events) == [(3, {"loss": 1.5}), (4, {"loss": 2.0}), (5, {"loss": 2.5})]
    assert states(events) == [run_pb2.RUN_STATE_RUNNING, run_pb2.RUN_STATE_FINISHED]
    assert isinstance(events[0], StateSeen)
    assert isinstance(events[-1], StateSeen)


def test_no_lines_of_what_was_there(run: GoingRun) -> None:
    run.log("loss", (0, 0, 1.0), (SECOND, 1, 0.5))

    events = follow(run, lambda: run.log("loss", (2 * SECOND, 2, 0.25)), lines=0)

    assert steps(events) == [(2, {"loss": 0.25})]


def test_an_ended_run_gives_its_last_steps(run: GoingRun) -> None:
    run.log("loss", (0, 0, 1.0), (SECOND, 1, 0.5))
    run.end(run_pb2.RUN_STATE_FAILED)
    waits: list[float] = []

    events = follow(run, waits=waits)

    assert steps(events) == [(0, {"loss": 1.0}), (1, {"loss": 0.5})]
    assert states(events) == [run_pb2.RUN_STATE_FAILED]
    assert waits == []


def test_what_was_logged_last_comes_before_the_end(run: GoingRun) -> None:
    def last() -> None:
        run.log("loss", (SECOND, 1, 0.5))
        run.end()

    events = follow(run, last)

    assert [type(event) for event in events] == [StateSeen, Step, StateSeen]


def test_a_run_that_is_deleted_is_over(run: GoingRun) -> None:
    events = follow(run, run.run.delete_time.GetCurrentTime)

    assert [type(event) for event in events] == [StateSeen, StateSeen]


def test_a_stale_run_may_come_back(run: GoingRun) -> None:
    def state(new: run_pb2.RunState.ValueType) -> Callable[[], None]:
        return lambda: setattr(run.run, "state", new)

    events = follow(
        run, state(run_pb2.RUN_STATE_STALE), lambda: None, state(run_pb2.RUN_STATE_RUNNING)
    )

    assert states(events) == [
        run_pb2.RUN_STATE_RUNNING,
        run_pb2.RUN_STATE_STALE,
        run_pb2.RUN_STATE_RUNNING,
        run_pb2.RUN_STATE_FINISHED,
    ]


def test_metrics_of_the_machine_come_only_when_asked_for(run: GoingRun) -> None:
    run.log("val/loss", (0, 0, 1.0))
    run.log("val/acc", (0, 0, 0.5))
    run.log("system/cpu", (0, 0, 99.0))

    assert steps(follow(run)) == [(0, {"val/acc": 0.5, "val/loss": 1.0})]
    assert steps(follow(run, keys=["system/cpu"])) == [(0, {"system/cpu": 99.0})]
    assert steps(follow(run, keys=["val/*"])) == [(0, {"val/acc": 0.5, "val/loss": 1.0})]
    assert steps(follow(run, keys=["val/acc", "none"])) == [(0, {"val/acc": 0.5})]


def test_the_server_may_go_away_for_a_while(run: GoingRun) -> None:
    run.log("loss", (0, 0, 1.0))

    def outage() -> None:
        run.fails = [True] * 3
        run.log("loss", (SECOND, 1, 0.5))

    waits: list[float] = []
    events = follow(run, outage, *[lambda: None] * 3, waits=waits)

    assert [type(event) for event in events] == [
        StateSeen, Step, ServerAway, ServerBack, Step, StateSeen,
    ]  # fmt: skip
    assert steps(events) == [(0, {"loss": 1.0}), (1, {"loss": 0.5})]
    assert waits[1:4] == [1.0, 2.0, 4.0]


def test_the_server_may_go_away_before_the_first_answer(run: GoingRun) -> None:
    run.log("loss", *[(step * SECOND, step, 1.0) for step in range(100)])
    run.fails = [False, True]

    events = follow(run, lambda: None, lines=3)

    assert [step for step, _ in steps(events)] == [97, 98, 99]


def test_a_server_that_stays_away_ends_it(run: GoingRun) -> None:
    run.fails = [True] * 1000
    waits: list[float] = []

    with pytest.raises(Unavailable):
        follow(run, *[lambda: None] * 1000, waits=waits)

    assert max(waits) == 10
    assert sum(waits) > 10 * 60


def test_other_errors_end_it_at_once(run: GoingRun) -> None:
    client = run.client

    def none(_request: Any) -> Any:
        message = "No such run."
        raise NotFound(message)

    client.runs.GetRun = none

    with pytest.raises(NotFound):
        list(Follower(client, RUN, wait=lambda _: None).events())


def test_the_server_is_asked_less_often_while_nothing_comes(run: GoingRun) -> None:
    waits: list[float] = []

    follow(
        run,
        *[lambda: None] * 8,
        lambda: run.log("loss", (SECOND, 1, 0.5)),
        lambda: None,
        waits=waits,
    )

    assert waits[0] == 1
    assert waits[7] == 5
    assert waits[9] == 1


def test_points_that_are_too_late_are_told_of(run: GoingRun) -> None:
    run.log("loss", *[(step * SECOND, step, 1.0) for step in range(1000)])

    events = follow(run, lambda: None, lambda: run.log("loss", (1, 5, 0.5)), lines=2)

    assert [event.key for event in events if isinstance(event, Missed)] == ["loss"]


def points(*taken: tuple[int, int, float | None]) -> list[Point]:
    return [Point(*point) for point in taken]


def test_metrics_of_one_step_stand_side_by_side() -> None:
    lines = side_by_side(
        {"loss": points((10, 1, 0.5), (20, 2, 0.25)), "acc": points((11, 1, 0.9), (30, 3, None))}
    )

    assert [(line.time_us, line.step) for line in lines] == [(10, 1), (20, 2), (30, 3)]
    assert lines[0].values == {"acc": 0.9, "loss": 0.5}
    assert math.isnan(lines[2].values["acc"])


def test_a_metric_with_several_points_at_a_step_gets_as_many_lines() -> None:
    lines = side_by_side({"loss": points((10, 1, 0.5), (20, 1, 0.25)), "acc": points((9, 1, 0.9))})

    assert [line.values for line in lines] == [{"acc": 0.9, "loss": 0.5}, {"loss": 0.25}]


def test_lines_come_in_the_order_in_which_they_were_taken() -> None:
    lines = side_by_side({"loss": points((30, 1, 0.0), (10, 3, 0.0), (20, 2, 0.0))})

    assert [line.step for line in lines] == [3, 2, 1]
