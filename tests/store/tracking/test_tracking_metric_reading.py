"""ReadMetrics, as its contract promises."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from studbook.tracking.v1 import metric_service_pb2 as pb
from tests.store.tracking.at_work import WINE, batch, reason
from tracking_service import metric_reading
from tracking_service.series_reading import end_of_portion

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking


def test_reads_are_limited_to_a_range_of_steps(tracking: Tracking) -> None:
    run = tracking.run().name
    for sequence in range(1, 5):
        points = [(sequence * 10 + i, float(i)) for i in range(3)]
        tracking.append(run, sequence=sequence, loss=points)

    assert [step for step, _ in tracking.points(run, min_step=12, max_step=21)] == [12, 20, 21]
    assert tracking.points(run, min_step=100) == []
    assert [step for step, _ in tracking.points(run, max_step=10)] == [10]


def test_reads_are_limited_to_a_range_of_time(tracking: Tracking) -> None:
    run = tracking.run().name
    start = 1_700_000_000
    request = batch(run, loss=[(step, float(step)) for step in range(5)])
    request.series[0].times_us[:] = [(start + step) * 1_000_000 for step in (4, 3, 2, 1, 0)]
    tracking.call("AppendMetrics", request)

    def read(**bounds: Any) -> list[int]:
        parts = tracking.call("ReadMetrics", pb.ReadMetricsRequest(runs=[run], **bounds))
        assert {part.total_points for part in parts} <= {len(parts[0].series.steps)} if parts else 1
        return [step for part in parts for step in part.series.steps]

    early, late = Timestamp(seconds=start + 1), Timestamp(seconds=start + 3)
    assert read(min_time=early, max_time=late) == [1, 2, 3]
    assert read(min_time=late) == [0, 1]
    assert read(max_time=early) == [3, 4]
    assert read(min_time=Timestamp(seconds=start + 1, nanos=1000), max_time=late) == [1, 2]
    assert read(min_time=Timestamp(seconds=start + 9)) == []


def test_a_reduced_read_says_how_many_points_there_are(tracking: Tracking) -> None:
    run = tracking.run().name
    values = np.sin(np.arange(90_000) / 100)
    values[45_678] = 7.0
    for sequence in range(3):
        steps = range(sequence * 30_000, (sequence + 1) * 30_000)
        points = [(step, float(values[step])) for step in steps]
        tracking.append(run, sequence=sequence + 1, loss=points)

    request = pb.ReadMetricsRequest(runs=[run], max_points=500)
    (part,) = tracking.call("ReadMetrics", request)
    whole = tracking.call("ReadMetrics", pb.ReadMetricsRequest(runs=[run]))

    assert part.total_points == 90_000
    assert len(part.series.values) <= 500
    assert 7.0 in part.series.values
    assert (part.series.steps[0], part.series.steps[-1]) == (0, 89_999)
    assert len(whole) > 1
    assert np.concatenate([part.series.values for part in whole]).tolist() == values.tolist()


def test_several_runs_and_keys_are_read_in_one_call(tracking: Tracking) -> None:
    one, two = tracking.run().name, tracking.run().name
    tracking.append(one, b=[(1, 1.0)], a=[(1, 2.0)])
    tracking.append(two, c=[(1, 3.0)], a=[(1, 4.0)])

    def read(**request: Any) -> list[tuple[str, str]]:
        parts = tracking.call("ReadMetrics", pb.ReadMetricsRequest(**request))
        return [(part.run, part.series.key) for part in parts]

    assert read(runs=[two, one]) == [(two, "a"), (two, "c"), (one, "a"), (one, "b")]
    assert read(runs=[one, two], keys=["a", "none"]) == [(one, "a"), (two, "a")]


def test_a_long_series_is_reduced_in_bounded_memory(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracking.run().name
    values = np.random.default_rng(1).normal(size=1000)
    for start in range(0, 1000, 10):
        points = [(step, float(values[step])) for step in range(start, start + 10)]
        tracking.append(run, sequence=start + 1, loss=points)
    monkeypatch.setattr(metric_reading, "POINTS_A_PORTION", 50)
    monkeypatch.setattr(metric_reading, "end_of_portion", partial(end_of_portion, points=50))
    monkeypatch.setattr(metric_reading, "MOST_REDUCED", 100)
    monkeypatch.setattr(metric_reading, "_REDUCED_KEPT", 200)

    assert [step for step, _ in tracking.points(run, max_points=2**31 - 1)] == list(range(1000))
    for most in (20, 999):
        reduced = tracking.points(run, max_points=most)
        assert len(reduced) <= min(most, 100)
        assert reduced[0][0] == 0
        assert reduced[-1][0] == 999
        assert {values.min(), values.max()} <= {value for _, value in reduced}


def test_very_many_series_are_read_a_portion_at_a_time(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [tracking.run().name for _ in range(4)]
    points: dict[str, Any] = {key: [(1, 1.0)] for key in "abcde"}
    for run in runs[:3]:
        tracking.append(run, **points)
    monkeypatch.setattr(metric_reading, "_SERIES_TOGETHER", 2)
    monkeypatch.setattr(metric_reading, "_SERIES_FOUND", 6)

    parts = tracking.call("ReadMetrics", pb.ReadMetricsRequest(runs=runs))

    found = [(part.run, part.series.key) for part in parts]
    assert found == [(run, key) for run in runs[:3] for key in "abcde"]
    missing = pb.ReadMetricsRequest(runs=[*runs, f"{WINE}/runs/none"])
    assert reason(lambda: tracking.call("ReadMetrics", missing)) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"max_points": -1}, "FIELD_INVALID"),
        ({"min_time": Timestamp(seconds=2**60)}, "FIELD_INVALID"),
        ({"keys": [""]}, "FIELD_REQUIRED"),
        ({"keys": ["loss"] * 10_001}, "FIELD_INVALID"),
        ({"runs": ["x"]}, "RESOURCE_NAME_INVALID"),
        ({"runs": [f"{WINE}/runs/r{i}" for i in range(101)]}, "FIELD_INVALID"),
    ],
)
def test_bad_reads(tracking: Tracking, values: dict[str, Any], expected: str) -> None:
    request = pb.ReadMetricsRequest(**{"runs": [f"{WINE}/runs/r"], **values})

    assert reason(lambda: tracking.call("ReadMetrics", request)) == expected
