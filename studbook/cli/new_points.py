"""The points of a run that have not been read yet, read as cheaply as can be.

The server is asked for summaries first. Only the metrics that have more points than before are
read, and of those only the points from the newest known time on. Points may arrive late: several
processes write one run, each sends what it has collected. Where a summary counts more points than
were found, the metric is read again from further back. What has been read is remembered, as far
back as that, so that no point is given twice.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from studbook.tracking.v1.metric_service_pb2 import ReadMetricsRequest
from studbook.tracking.v1.run_service_pb2 import GetRunRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from studbook.client import Client
    from studbook.tracking.v1.metric_pb2 import MetricSummary

# Points of one metric that are remembered, and how many more before some are forgotten.
_REMEMBERED = 10_000
_DEADLINE_S = 60.0
# The last points lie within so many times the time that as many have taken on average; None is all.
_REACHES = (2, 32, None)
_SECOND_US = 1_000_000


class Point(NamedTuple):
    """One point of a metric; NaN is written None, as it is no value that equals itself."""

    time_us: int
    step: int
    value: float | None

    @property
    def number(self) -> float:
        """The value as a number."""
        return math.nan if self.value is None else self.value


class _Series:
    """What is known of one metric.

    Attributes:
        horizon_us: Time from which on points are remembered; None remembers all.
        newest_us: Time of the newest point that was read; None before the first.
        counted: Points that the summary counted before the latest read.
        misses_late: Whether points before the horizon have arrived, which are not looked for.
    """

    def __init__(self, horizon_us: int | None = None) -> None:
        self.horizon_us = horizon_us
        self.newest_us: int | None = None
        self.counted = 0
        self.misses_late = False
        self._remembered: Counter[Point] = Counter()
        # How many points lie before the horizon; None while it is not known.
        self._before: int | None = None if horizon_us is not None else 0

    def take(self, points: Iterable[Point]) -> list[Point]:
        """Those of the points that were not known; remembers them.

        Args:
            points: All that there are from some time on.
        """
        there: Counter[Point] = Counter()
        fresh = []
        for point in points:
            if self.horizon_us is not None and point.time_us < self.horizon_us:
                continue
            there[point] += 1
            if there[point] > self._remembered[point]:
                fresh.append(point)
        self._remembered.update(fresh)
        if there:
            self.newest_us = max(self.newest_us or 0, *(point.time_us for point in there))
        return fresh

    @property
    def read_from_us(self) -> int | None:
        """Time from which on new points are looked for first; None looks at all."""
        # As long as points cannot be counted, late ones would not be noticed.
        return self.newest_us if self._before is not None else self.horizon_us

    @property
    def is_counted(self) -> bool:
        """Whether it is known how many points lie before the horizon."""
        return self._before is not None

    def compare_count(self, count: int) -> None:
        """Learn from a summary that is newer than the latest read what lies before the horizon."""
        # Nothing came in between, so that the read and both summaries saw the same points.
        if self._before is None and count == self.counted:
            self._before = count - self._remembered.total()

    def lacks(self, count: int) -> bool:
        """Whether there must be points that were not found, by a summary older than the read."""
        return self._before is not None and count - self._remembered.total() > self._before

    def settle(self, count: int) -> None:
        """Take note that all points that can be found have been, and forget the oldest."""
        self.counted = count
        if self.lacks(count):
            self.misses_late = True
            self._before = count - self._remembered.total()
        if self._remembered.total() > 2 * _REMEMBERED:
            times = sorted(point.time_us for point in self._remembered.elements())
            self.horizon_us = times[-_REMEMBERED]
            forgotten = [p for p in self._remembered if p.time_us < self.horizon_us]
            number = sum(self._remembered.pop(point) for point in forgotten)
            self._before = None if self._before is None else self._before + number


class NewPoints:
    """Reads what has been added to a run since it was last asked.

    When the server cannot be reached, the call fails and the next one carries on: no point is lost.

    Args:
        client: Connection.
        run: Resource name of the run.
    """

    def __init__(self, client: Client, run: str) -> None:
        self._client = client
        self._run = run
        self._series: dict[str, _Series] = {}
        self._found: dict[str, list[Point]] = defaultdict(list)
        self._told_late: set[str] = set()

    def start(self, summaries: Sequence[MetricSummary], start_us: int, last: int) -> None:
        """Begin near the end of what is there: `take` gives the last points of each metric.

        Args:
            summaries: What is there.
            start_us: When the run began, in microseconds; tells how dense its points are.
            last: How many points of each metric to read, at least, if there are as many.
        """
        waiting = [summary for summary in summaries if summary.key not in self._series]
        for reach in _REACHES:
            groups: dict[int | None, list[MetricSummary]] = defaultdict(list)
            for summary in waiting:
                groups[_horizon(summary, start_us, last, reach)].append(summary)
            waiting = []
            # What is logged together is read together.
            for horizon_us, group in groups.items():
                found = self._read([summary.key for summary in group], horizon_us)
                for summary in group:
                    points = found[summary.key]
                    if horizon_us is not None and len(points) < min(last, summary.count):
                        waiting.append(summary)
                        continue
                    self._begin(summary, horizon_us, points)
        self._count_again()

    def _begin(
        self, summary: MetricSummary, horizon_us: int | None, points: Sequence[Point]
    ) -> None:
        series = self._series[summary.key] = _Series(horizon_us)
        self._found[summary.key] += series.take(points)
        series.settle(summary.count)

    def look(self, summaries: Sequence[MetricSummary]) -> None:
        """Read what the summaries say is new.

        Raises:
            StudbookError: As in the contract.
        """
        counts = {summary.key: summary.count for summary in summaries}
        for key, count in counts.items():
            self._series.setdefault(key, _Series()).compare_count(count)
        grown = [key for key, count in counts.items() if self._series[key].counted != count]
        times = {key: self._series[key].read_from_us for key in grown}
        self._look_from([key for key in grown if times[key] is None], None)
        known = {key: time_us for key, time_us in times.items() if time_us is not None}
        self._look_from(list(known), min(known.values(), default=None))
        late: dict[int | None, list[str]] = defaultdict(list)
        for key in grown:
            if self._series[key].lacks(counts[key]):
                late[self._series[key].horizon_us].append(key)
        for horizon_us, keys in late.items():
            self._look_from(keys, horizon_us)
        for key in grown:
            self._series[key].settle(counts[key])
        self._count_again()

    def _look_from(self, keys: Sequence[str], time_us: int | None) -> None:
        if keys:
            for key, points in self._read(keys, time_us).items():
                self._found[key] += self._series[key].take(points)

    def _count_again(self) -> None:
        """Find out how many points lie before what was read, which a summary alone cannot tell."""
        if all(series.is_counted for series in self._series.values()):
            return
        run = self._client.runs.GetRun(GetRunRequest(name=self._run)).run
        for summary in run.metrics:
            if summary.key in self._series:
                self._series[summary.key].compare_count(summary.count)

    def take(self) -> Mapping[str, Sequence[Point]]:
        """The new points by key; each is given once."""
        found, self._found = self._found, defaultdict(list)
        return {key: points for key, points in found.items() if points}

    def take_late(self) -> list[str]:
        """Metrics of which points have arrived that are too old to be found; each given once."""
        late = {key for key, series in self._series.items() if series.misses_late}
        untold = sorted(late - self._told_late)
        self._told_late |= late
        return untold

    def _read(self, keys: Sequence[str], time_us: int | None) -> dict[str, list[Point]]:
        request = ReadMetricsRequest(runs=[self._run], keys=keys)
        if time_us is not None:
            request.min_time.FromMicroseconds(time_us)
        found: dict[str, list[Point]] = {key: [] for key in keys}
        for part in self._client.metrics.ReadMetrics(request, timeout=_DEADLINE_S):
            columns = part.series
            found[columns.key] += [
                Point(time_us, step, None if math.isnan(value) else value)
                for time_us, step, value in zip(
                    columns.times_us, columns.steps, columns.values, strict=True
                )
            ]
        return found


def _horizon(summary: MetricSummary, start_us: int, last: int, reach: int | None) -> int | None:
    """Time since which a metric has about so many points; None when all are to be read."""
    if reach is None or summary.count <= reach * last:
        return None
    newest_us = summary.last_time.ToMicroseconds()
    # A second more, for what is logged in no time at all.
    taken_us = max(newest_us - start_us, 0) * last // summary.count + _SECOND_US
    return max(newest_us - reach * taken_us, 0) or None
