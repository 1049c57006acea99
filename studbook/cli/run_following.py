"""Follows a run while it goes on: its new points by step, and the changes of its state."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from studbook.cli.new_points import NewPoints
from studbook.cli.run_text import has_ended, is_of_system
from studbook.exceptions import Unavailable
from studbook.tracking.v1.run_service_pb2 import GetRunRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from studbook.cli.new_points import Point
    from studbook.client import Client
    from studbook.tracking.v1.metric_pb2 import MetricSummary
    from studbook.tracking.v1.run_pb2 import Run

# While points come, and when none have come for a while.
_SHORTEST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 5.0
_PAUSE_GROWTH = 1.5
# While the server is away; each attempt takes some seconds besides, so this is half an hour.
_LONGEST_WAIT_S = 10.0
_MOST_FAILURES = 150


@dataclass
class Step:
    """What a run logged at one step.

    Attributes:
        time_us: When the first of it was taken, in microseconds.
        step: Which step.
        values: The values by key.
    """

    time_us: int
    step: int
    values: dict[str, float] = field(default_factory=dict)


@dataclass
class StateSeen:
    """The run is in another state than when it was last looked at."""

    run: Run


@dataclass
class Missed:
    """Points of a metric have arrived that are much older than those that were given."""

    key: str


@dataclass
class ServerAway:
    """The server cannot be reached; it is asked again and again."""

    error: Unavailable


class ServerBack:
    """The server can be reached again."""


Event = Step | StateSeen | Missed | ServerAway | ServerBack


class Follower:
    """Looks at one run again and again until it has ended.

    Args:
        client: Connection.
        name: Resource name of the run.
        keys: Metrics to give, `*` standing for any characters; none: all but the machine's.
        lines: How many steps that were there before to give first.
        wait: How to wait, in seconds.

    Attributes:
        run: The run as it was last seen.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        keys: Collection[str] = (),
        lines: int = 10,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.run: Run | None = None
        self._client = client
        self._name = name
        self._keys = keys
        self._lines = lines
        self._wait = wait
        self._points = NewPoints(client, name)
        self._state: tuple[int, bool] | None = None

    def events(self) -> Iterator[Event]:
        """What happens, as it happens; ends with the run.

        Raises:
            StudbookError: As in the contract; Unavailable only after half an hour.
        """
        failures = 0
        pause_s = _SHORTEST_PAUSE_S
        while True:
            try:
                run = self._look()
            except Unavailable as error:
                failures += 1
                if failures == _MOST_FAILURES:
                    raise
                if failures == 1:
                    yield ServerAway(error)
                self._wait(min(2.0 ** min(failures - 1, 10), _LONGEST_WAIT_S))
                continue
            if failures:
                failures = 0
                yield ServerBack()
            news = list(self._news(run))
            yield from news
            if _is_over(run):
                return
            pause_s = _SHORTEST_PAUSE_S if news else min(pause_s * _PAUSE_GROWTH, _LONGEST_PAUSE_S)
            self._wait(pause_s)

    def _look(self) -> Run:
        run = self._client.runs.GetRun(GetRunRequest(name=self._name)).run
        wanted = [summary for summary in run.metrics if self._is_wanted(summary)]
        if self.run is None:
            self._points.start(wanted, run.start_time.ToMicroseconds(), max(self._lines, 0))
        else:
            self._points.look(wanted)
        return run

    def _is_wanted(self, summary: MetricSummary) -> bool:
        key = summary.key
        if not self._keys:
            return not is_of_system(key)
        return any(key == wanted or fnmatchcase(key, wanted) for wanted in self._keys)

    def _news(self, run: Run) -> Iterator[Event]:
        steps = side_by_side(self._points.take())
        if self.run is None:
            steps = steps[len(steps) - min(self._lines, len(steps)) :]
        self.run = run
        state = (run.state, run.HasField("delete_time"))
        change = [] if state == self._state else [StateSeen(run)]
        self._state = state
        if _is_over(run):
            yield from steps
            yield from change
        else:
            yield from change
            yield from steps
        yield from map(Missed, self._points.take_late())


def _is_over(run: Run) -> bool:
    return has_ended(run) or run.HasField("delete_time")


def side_by_side(points: Mapping[str, Sequence[Point]]) -> list[Step]:
    """Points of several metrics by step, in the order in which they were taken.

    A metric with several points at one step gets as many lines.
    """
    steps: dict[tuple[int, int], Step] = {}
    for key in sorted(points):
        occurrences: Counter[int] = Counter()
        for point in sorted(points[key], key=lambda point: point.time_us):
            place = (point.step, occurrences[point.step])
            occurrences[point.step] += 1
            step = steps.setdefault(place, Step(point.time_us, point.step))
            step.time_us = min(step.time_us, point.time_us)
            step.values[key] = point.number
    return sorted(steps.values(), key=lambda step: (step.time_us, step.step))
