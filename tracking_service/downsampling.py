"""Series reduced for drawing, so that no peak and no dip is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracking_service.records import Points

if TYPE_CHECKING:
    from numpy.typing import NDArray


def downsample(points: Points, most: int) -> Points:
    """At most `most` of the points, in their order.

    Kept are the first and the last point and, of each of equally long stretches between them, the
    smallest and the largest value. With fewer than four points to keep there is no room for a
    stretch; then first, last and the largest value have precedence in this order.
    """
    if len(points) <= most:
        return points
    kept = _kept(points.values, most)
    return Points(points.steps[kept], points.times_us[kept], points.values[kept])


def _kept(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    ends = [0, len(values) - 1]
    inner = values[1:-1]
    stretches = (most - 2) // 2
    if most < 3:
        return np.array(ends[:most], dtype=np.int64)
    if not stretches:
        return np.array([0, 1 + int(np.argmax(_without_nan(inner, -np.inf))), ends[1]])
    found = np.concatenate(
        (
            _argmins(_without_nan(inner, np.inf), stretches),
            _argmins(-_without_nan(inner, -np.inf), stretches),
        )
    )
    return np.unique(np.concatenate((np.array(ends), found + 1)))


def _without_nan(values: NDArray[np.float64], stand_in: float) -> NDArray[np.float64]:
    return np.where(np.isnan(values), stand_in, values)


def _argmins(values: NDArray[np.float64], stretches: int) -> NDArray[np.int64]:
    """Index of the smallest value in each stretch; stretches differ by one point at most."""
    edges = np.linspace(0, len(values), stretches + 1).astype(np.int64)
    longest = int(np.diff(edges).max())
    # One row for each stretch; rows that are shorter repeat their last point.
    rows = np.minimum(edges[:-1, None] + np.arange(longest), edges[1:, None] - 1)
    found: NDArray[np.int64] = rows[np.arange(stretches), np.argmin(values[rows], axis=1)]
    return found
