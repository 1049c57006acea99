"""Which chunks of a series to merge, and merging them.

Writers leave a chunk for each batch. Many small ones take more room and time than few large ones,
so chunks that follow one another are replaced by one with the same points in the same order. Sizes
stay apart: a chunk is merged with newer ones only when it is not much larger than they are
together, so that each point is written anew a logarithmic number of times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking_service.chunk_codec import as_chunk, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking_service.records import ChunkRecord

FULL_POINTS = 16_384
"""A chunk of so many points is left alone."""

# So many of the newest are merged whatever their sizes.
_NEWEST = 16
_LARGER = 2


def stretches(sizes: Sequence[int]) -> list[range]:
    """Which chunks to merge with each other.

    Args:
        sizes: Number of points of chunks that follow one another, the newest last.

    Returns:
        Places in `sizes`, at least two a stretch; a stretch has at most `FULL_POINTS` points.
    """
    merged: list[range] = []
    begin, points = _first_of_tail(sizes), 0
    for place in range(begin, len(sizes)):
        if points + sizes[place] > FULL_POINTS:
            merged.append(range(begin, place))
            begin, points = place, 0
        points += sizes[place]
    merged.append(range(begin, len(sizes)))
    return [stretch for stretch in merged if len(stretch) > 1]


def merge(chunks: Sequence[bytes]) -> ChunkRecord:
    """One chunk with the points of several that follow one another."""
    return as_chunk(decode(chunks))


def _first_of_tail(sizes: Sequence[int]) -> int:
    newer = 0
    for place in range(len(sizes) - 1, -1, -1):
        few = len(sizes) - place <= _NEWEST
        if not few and sizes[place] > _LARGER * newer:
            return place + 1
        newer += sizes[place]
    return 0
