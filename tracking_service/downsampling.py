"""Series reduced for drawing, so that no peak and no dip is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tsdownsample import MinMaxDownsampler

from tracking_service.records import Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

_minmax = MinMaxDownsampler()  # type: ignore[no-untyped-call] # its constructor alone


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
    last = len(values) - 1
    if most < 3:
        return np.array([0, last][:most], dtype=np.int64)
    inner = values[1:-1]
    room = (most - 2) // 2 * 2
    if not room:
        largest = 1 + int(np.argmax(np.where(np.isnan(inner), -np.inf, inner)))
        return np.array([0, largest, last])
    found = _minmax.downsample(np.ascontiguousarray(inner), n_out=room)
    return np.unique(np.concatenate(([0, last], found.astype(np.int64) + 1)))
