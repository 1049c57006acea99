"""A run that goes on, as far as those who read it can see: summaries, points, its state.

Used directly where no network matters, and over gRPC where commands are run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from studbook.exceptions import Unavailable
from studbook.tracking.v1 import metric_pb2, metric_service_pb2, run_pb2, run_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RUN = "workspaces/main/experiments/wine/runs/otter"
# Times in tests count from here.
START_US = 1_700_000_000_000_000
# A time, a step and a value.
Taken = tuple[int, int, float]


class GoingRun:
    """One run, and the calls that read it.

    Attributes:
        run: Its message but for the metrics.
        series: Points by key, in order of arrival; times in microseconds since START_US.
        reads: The requests of ReadMetrics, in order.
        before_read: Called when ReadMetrics has been asked, before it looks.
        fails: For each of the next calls, whether it fails with UNAVAILABLE.
    """

    def __init__(self) -> None:
        self.run = run_pb2.Run(name=RUN, state=run_pb2.RUN_STATE_RUNNING)
        self.run.start_time.FromMicroseconds(START_US)
        self.series: dict[str, list[Taken]] = defaultdict(list)
        self.reads: list[metric_service_pb2.ReadMetricsRequest] = []
        self.before_read: Callable[[], None] = lambda: None
        self.fails: list[bool] = []

    @property
    def client(self) -> Any:
        """Whom a reader takes for the server."""
        return SimpleNamespace(
            runs=SimpleNamespace(GetRun=self.get_run),
            metrics=SimpleNamespace(ReadMetrics=self.read_metrics),
        )

    def log(self, key: str, *taken: Taken) -> None:
        self.series[key] += taken

    def end(self, state: run_pb2.RunState.ValueType = run_pb2.RUN_STATE_FINISHED) -> None:
        self.run.state = state
        self.run.end_time.FromMicroseconds(START_US + 60_000_000)

    def get_run(self, _request: Any) -> run_service_pb2.GetRunResponse:
        self._perhaps_fail()
        run = run_pb2.Run()
        run.CopyFrom(self.run)
        run.metrics.extend(self.summaries())
        return run_service_pb2.GetRunResponse(run=run)

    def summaries(self) -> list[metric_pb2.MetricSummary]:
        return [_summary(key, taken) for key, taken in sorted(self.series.items()) if taken]

    def read_metrics(
        self, request: metric_service_pb2.ReadMetricsRequest, timeout: float | None = None
    ) -> Iterator[metric_service_pb2.ReadMetricsResponse]:
        assert timeout is not None
        self._perhaps_fail()
        self.before_read()
        self.reads.append(request)
        earliest = request.min_time.ToMicroseconds() if request.HasField("min_time") else -math.inf
        for key in request.keys:
            there = [point for point in self.series[key] if START_US + point[0] >= earliest]
            # As the server does: in order of step, two messages for one series.
            there.sort(key=lambda point: point[1])
            half = len(there) // 2
            for part in (there[:half], there[half:]):
                yield _part(key, part, len(there))

    def _perhaps_fail(self) -> None:
        if self.fails and self.fails.pop(0):
            message = "127.0.0.1:7420 cannot be reached: Connection refused"
            raise Unavailable(message)


def _summary(key: str, taken: Sequence[Taken]) -> metric_pb2.MetricSummary:
    last = max(enumerate(taken), key=lambda item: (item[1][1], item[0]))[1]
    summary = metric_pb2.MetricSummary(
        key=key, count=len(taken), last=last[2], last_step=last[1], min=min(p[2] for p in taken)
    )
    summary.last_time.FromMicroseconds(START_US + last[0])
    return summary


def _part(key: str, points: Sequence[Taken], total: int) -> metric_service_pb2.ReadMetricsResponse:
    series = metric_pb2.MetricSeries(
        key=key,
        times_us=[START_US + time for time, _, _ in points],
        steps=[step for _, step, _ in points],
        values=[value for _, _, value in points],
    )
    return metric_service_pb2.ReadMetricsResponse(run=RUN, series=series, total_points=total)
