"""How the points of one metric batch become one stored value, and back.

A chunk is a header (form, number of points, how often each column was differenced) and the three
columns: steps, times, values. What changes little from point to point is kept as differences, or
as differences of differences: of a ramp the second ones are zero, of a smooth curve the fourth are
a few bits. The bits of a double, read as an integer, are as smooth as the curve. Differences are
folded so that small ones of either sign begin with zeros, and the eight bytes of each number are
regrouped by significance, so that the compressor sees long runs. Short chunks gain nothing from
that and are stored plain.
"""

from __future__ import annotations

import struct
import threading
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from tracking_service.records import ChunkRecord, Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_HEADER = struct.Struct("<BI3B")
# Below this, setting up the compressor costs more than the bytes it saves.
_FEWEST_COMPRESSED = 100
# Below this, finding out how values are smallest costs more than it saves until chunks are merged.
_FEWEST_TRIED = 4000
_SAMPLE = 512
# Higher levels cost several times the processor time and save a few percent.
_LEVEL = 1
# How often values may be differenced. With each time a smooth curve gets smaller, and noise and
# what rounding left get larger.
_MOST_DIFFERENCES = 5


class _Form(IntEnum):
    PLAIN = 1
    DIFFERENCED = 2


class _Compressors(threading.local):
    """One pair for each thread: the objects may not be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_compressors = _Compressors()


def encode(points: Points) -> bytes:
    """The points as bytes. Order, NaN payloads and all 64 bits of every number survive."""
    count = len(points)
    columns = (points.steps, points.times_us, points.values)
    if count < _FEWEST_COMPRESSED:
        plain = b"".join(_little_endian(column).tobytes() for column in columns)
        return _HEADER.pack(_Form.PLAIN, count, 0, 0, 0) + plain
    numbers = [_bits(column) for column in columns]
    orders = (1, 1, 0 if count < _FEWEST_TRIED else _best_order(numbers[2]))
    compressed = _compressors.compressor.compress(
        b"".join(_planes(*column) for column in zip(numbers, orders, strict=True))
    )
    return _HEADER.pack(_Form.DIFFERENCED, count, *orders) + compressed


def as_chunk(points: Points) -> ChunkRecord:
    """Points, of which there is one at least, as they are stored."""
    min_step, max_step = _range(points.steps)
    min_time_us, max_time_us = _range(points.times_us)
    return ChunkRecord(
        points=len(points),
        min_step=min_step,
        max_step=max_step,
        min_time_us=min_time_us,
        max_time_us=max_time_us,
        data=encode(points),
    )


def decode(chunks: Sequence[bytes]) -> Points:
    """The points that `encode` was given, of all chunks one after the other.

    Raises:
        ValueError: A chunk is not one that `encode` made.
    """
    headers = [_HEADER.unpack_from(chunk) for chunk in chunks]
    total = sum(count for _, count, *_ in headers)
    points = Points(np.empty(total, "<i8"), np.empty(total, "<i8"), np.empty(total, "<f8"))
    columns = [column.view("<u8") for column in (points.steps, points.times_us, points.values)]
    start = 0
    for chunk, (form, count, *orders) in zip(chunks, headers, strict=True):
        body = memoryview(chunk)[_HEADER.size :]
        parts = [column[start : start + count] for column in columns]
        if form == _Form.PLAIN:
            _read_plain(body, parts)
        elif form == _Form.DIFFERENCED:
            _read_differenced(body, orders, parts)
        else:
            message = f"metric chunk has the unknown form {form}"
            raise ValueError(message)
        start += count
    return points


def _little_endian(column: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))


def _bits(column: NDArray[np.generic]) -> NDArray[np.uint64]:
    # Unsigned, because differences of extreme values wrap around, and wrap back when summed.
    return np.ascontiguousarray(column).view(np.uint64)


def _best_order(values: NDArray[np.uint64]) -> int:
    """How often to difference values so that a stretch of them takes the fewest bytes."""
    middle = len(values) // 2
    stretch = values[middle : middle + _SAMPLE]
    compress = _compressors.compressor.compress
    best, fewest = 0, len(compress(_planes(stretch, 0)))
    # What was noise after one difference is more noise after the next.
    for order in range(1, _MOST_DIFFERENCES + 1):
        size = len(compress(_planes(stretch, order)))
        if size >= fewest:
            break
        best, fewest = order, size
    return best


def _planes(numbers: NDArray[np.uint64], order: int) -> bytes:
    """The numbers, differenced so often, with their bytes grouped by significance."""
    if order:
        differences = numbers.copy()
        for start in range(1, order + 1):
            # In place would read what it has just written.
            differences[start:] = differences[start:] - differences[start - 1 : -1]
        numbers = _folded(differences)
    little_endian = numbers.astype("<u8", copy=False)
    return little_endian.view(np.uint8).reshape(-1, 8).T.tobytes()


def _folded(differences: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ..."""
    signed = differences.view(np.int64)
    return ((signed << 1) ^ (signed >> 63)).view(np.uint64)


def _read_plain(body: memoryview, columns: Sequence[NDArray[np.uint64]]) -> None:
    count = len(columns[0])
    for place, column in enumerate(columns):
        column[:] = np.frombuffer(body, "<u8", count, place * 8 * count)


def _read_differenced(
    body: memoryview, orders: Sequence[int], columns: Sequence[NDArray[np.uint64]]
) -> None:
    count = len(columns[0])
    size = 8 * count * len(columns)
    planes = _compressors.decompressor.decompress(body, max_output_size=size)
    by_column = np.frombuffer(planes, np.uint8).reshape(len(columns), 8, count)
    for column_planes, order, column in zip(by_column, orders, columns, strict=True):
        _read_planes(column_planes, column)
        if order:
            _sum(column, order)


def _read_planes(planes: NDArray[np.uint8], column: NDArray[np.uint64]) -> None:
    """Put the bytes of numbers, grouped by significance, together again."""
    column[:] = 0
    by_number = column.view(np.uint8).reshape(-1, 8)
    by_number[0] = planes[:, 0]
    # Most planes of differences are zero but for what the first number has there.
    for place in np.flatnonzero(planes[:, 1:].any(axis=1)):
        by_number[:, place] = planes[place]


def _sum(column: NDArray[np.uint64], order: int) -> None:
    """Undo in place that numbers were differenced so often, and the differences folded."""
    one = np.uint64(1)
    if order == 1 and len(column) > 1 and (column[1:] == column[1]).all():
        # Steps, most of all, come at equal distances.
        first, distance = (
            ((folded >> 1) ^ -(folded & 1)) % 2**64 for folded in column[:2].tolist()
        )
        np.multiply(np.arange(len(column), dtype=np.uint64), np.uint64(distance), out=column)
        column += np.uint64(first)
        return
    signs = column & one
    np.negative(signs, out=signs)
    column >>= one
    column ^= signs
    for start in range(order, 0, -1):
        np.cumsum(column[start - 1 :], out=column[start - 1 :])


def _range(column: NDArray[np.int64]) -> tuple[int, int]:
    if len(column) == 1:
        return column.item(), column.item()
    return int(column.min()), int(column.max())
