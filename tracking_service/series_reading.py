"""Series put together from their chunks: whole, in part, or reduced, in bounded memory.

Chunks hold points in order of arrival, and readers want them in order of step. A series is read in
portions, each the chunks of one stretch of steps that no other chunk reaches into, so that what is
put in order at a time is a small part of a long series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracking_service.chunk_codec import decode
from tracking_service.records import Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracking_service.records import ChunkPlace, Window

# 6 MB of columns, and as much again while they are put in order. A client that does not read what
# it asked for keeps a portion in memory.
POINTS_A_PORTION = 262_144


def end_of_portion(chunks: Sequence[ChunkPlace], points: int = POINTS_A_PORTION) -> int | None:
    """The step up to which to read first; None when all is read at once.

    What is read has so many points at least, and no chunk with points on both sides of its end.

    Args:
        chunks: What is to be read of a series.
        points: How many points make a portion.
    """
    taken = 0
    highest: int | None = None
    for chunk in sorted(chunks, key=lambda chunk: chunk.min_step):
        if highest is not None and taken >= points and chunk.min_step > highest:
            return highest
        highest = chunk.max_step if highest is None else max(highest, chunk.max_step)
        taken += chunk.points
    return None


def in_order(chunks: Sequence[bytes], window: Window) -> Points:
    """The points of a window in order of step, and of arrival where steps are equal.

    Args:
        chunks: Chunks of one series in order of arrival.
        window: Which points to keep.
    """
    points = _inside(decode(chunks), window)
    # Most series are in order; looking is much cheaper than sorting.
    if not np.any(points.steps[1:] < points.steps[:-1]):
        return points
    return _chosen(points, np.argsort(points.steps, kind="stable"))


def joined(parts: Sequence[Points]) -> Points:
    """Points one after the other."""
    if len(parts) == 1:
        return parts[0]
    empty = Points(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    every = [empty, *parts]
    return Points(
        steps=np.concatenate([part.steps for part in every]),
        times_us=np.concatenate([part.times_us for part in every]),
        values=np.concatenate([part.values for part in every]),
    )


def _inside(points: Points, window: Window) -> Points:
    kept: NDArray[np.bool_] | None = None
    for column, lowest, highest in (
        (points.steps, window.min_step, window.max_step),
        (points.times_us, window.min_time_us, window.max_time_us),
    ):
        for bound, inside in ((lowest, np.greater_equal), (highest, np.less_equal)):
            if bound is not None:
                within = inside(column, bound)
                kept = within if kept is None else kept & within
    if kept is None or kept.all():
        return points
    return _chosen(points, np.flatnonzero(kept))


def _chosen(points: Points, places: NDArray[np.int64]) -> Points:
    return Points(points.steps[places], points.times_us[places], points.values[places])
