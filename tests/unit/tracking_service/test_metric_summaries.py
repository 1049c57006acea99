"""Summaries agree with a plain reading of their definition, however points are cut into batches."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_service.metric_summaries import merge, summarise
from tracking_service.records import MetricSummary, Points

Point = tuple[int, int, float]
POINTS = st.lists(
    st.tuples(
        st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**50),
        st.sampled_from([math.nan, math.inf, -math.inf, 1.0, -1.0])
        | st.floats(allow_nan=True, allow_infinity=True),
    ),
    min_size=1,
    max_size=30,
)


def columns(points: list[Point]) -> Points:
    steps, times, values = zip(*points, strict=True)
    return Points(
        np.array(steps, np.int64), np.array(times, np.int64), np.array(values, np.float64)
    )


def oracle(points: list[Point]) -> dict[str, float]:
    """The definitions in metric.proto, word by word."""
    numbers = [point for point in points if not math.isnan(point[2])]
    finite = [value for _, _, value in points if math.isfinite(value)]
    last = max(enumerate(points), key=lambda item: (item[1][0], item[0]))[1]
    # min and max return the first of several.
    smallest = min(numbers, key=lambda point: point[2], default=(0, 0, math.nan))
    largest = max(numbers, key=lambda point: point[2], default=(0, 0, math.nan))
    return {
        "first": points[0][2],
        "last": last[2],
        "min": smallest[2],
        "max": largest[2],
        "mean": math.fsum(v / len(finite) for v in finite) if finite else math.nan,
        "count": len(points),
        "finite_count": len(finite),
        "last_step": last[0],
        "min_step": smallest[0],
        "max_step": largest[0],
        "last_time_us": last[1],
    }


def assert_agrees(summary: MetricSummary, points: list[Point]) -> None:
    expected = oracle(points)
    scale = max((abs(v) for _, _, v in points if math.isfinite(v)), default=0.0)
    mean = expected.pop("mean")
    assert summary.mean == pytest.approx(mean, rel=1e-9, abs=scale * 1e-12, nan_ok=True)
    for name, value in expected.items():
        assert getattr(summary, name) == pytest.approx(value, rel=0, abs=0, nan_ok=True), name


@given(POINTS)
def test_of_one_batch(points: list[Point]) -> None:
    assert_agrees(summarise("loss", columns(points)), points)


@given(st.lists(POINTS, min_size=1, max_size=5))
def test_of_batches_one_after_another(batches: list[list[Point]]) -> None:
    merged = reduce(merge, (summarise("loss", columns(batch)) for batch in batches))

    assert_agrees(merged, [point for batch in batches for point in batch])


def test_the_mean_of_very_large_values_does_not_overflow() -> None:
    assert summarise("x", columns([(0, 0, 1e308), (1, 0, 1.5e308)])).mean == pytest.approx(1.25e308)
