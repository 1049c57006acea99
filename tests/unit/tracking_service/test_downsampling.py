"""A reduced series keeps what a reader of a chart looks for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tracking_service.downsampling import downsample
from tracking_service.records import Points

VALUES = hnp.arrays(
    np.float64,
    st.integers(1, 400),
    elements=st.sampled_from([np.nan, np.inf, -np.inf]) | st.floats(-1e6, 1e6),
)


def series(values: np.ndarray) -> Points:
    numbers = np.arange(len(values), dtype=np.int64)
    return Points(numbers, numbers * 10, values)


@given(VALUES, st.integers(1, 60))
def test_keeps_order_and_limit(values: np.ndarray, most: int) -> None:
    reduced = downsample(series(values), most)

    assert len(reduced) <= most
    assert np.all(np.diff(reduced.steps) > 0)
    # Steps are indices here, so they tell which points were kept.
    np.testing.assert_array_equal(reduced.values, values[reduced.steps])
    np.testing.assert_array_equal(reduced.times_us, reduced.steps * 10)


@given(VALUES, st.integers(4, 60))
def test_keeps_ends_and_extremes(values: np.ndarray, most: int) -> None:
    reduced = downsample(series(values), most)

    assert reduced.steps[0] == 0
    assert reduced.steps[-1] == len(values) - 1
    if not np.isnan(values).all():
        assert np.nanmin(reduced.values) == np.nanmin(values)
        assert np.nanmax(reduced.values) == np.nanmax(values)


def test_a_short_series_stays_whole() -> None:
    original = series(np.array([3.0, 1.0, 2.0]))

    assert downsample(original, 3) is original


def test_one_spike_in_a_million_points_survives() -> None:
    values = np.zeros(1_000_000)
    values[654_321] = 1.0

    assert downsample(series(values), 2000).values.max() == 1.0


@pytest.mark.parametrize(("most", "kept"), [(1, [0]), (2, [0, 4]), (3, [0, 3, 4])])
def test_with_hardly_any_room(most: int, kept: list[int]) -> None:
    reduced = downsample(series(np.array([0.0, 1.0, 2.0, 9.0, 4.0])), most)

    assert reduced.steps.tolist() == kept
