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
_ORDERS = range(6)


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
    return ChunkRecord(
        points=len(points),
        min_step=int(points.steps.min()),
        max_step=int(points.steps.max()),
        min_time_us=int(points.times_us.min()),
        max_time_us=int(points.times_us.max()),
        data=encode(points),
    )


def decode(chunk: bytes) -> Points:
    """The points that `encode` was given.

    Raises:
        ValueError: The chunk is not one that `encode` made.
    """
    form, count, *orders = _HEADER.unpack_from(chunk)
    body = memoryview(chunk)[_HEADER.size :]
    if form == _Form.PLAIN:
        return _plain_columns(body, count)
    if form == _Form.DIFFERENCED:
        size = 8 * count * len(orders)
        planes = _compressors.decompressor.decompress(body, max_output_size=size)
        return _differenced_columns(planes, count, orders)
    message = f"metric chunk has the unknown form {form}"
    raise ValueError(message)


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
    return min(_ORDERS, key=lambda order: len(compress(_planes(stretch, order))))


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


def _unfolded(folded: NDArray[np.uint64]) -> NDArray[np.uint64]:
    one = np.uint64(1)
    return (folded >> one) ^ -(folded & one)


def _plain_columns(body: memoryview, count: int) -> Points:
    return Points(
        steps=np.frombuffer(body, "<i8", count, 0),
        times_us=np.frombuffer(body, "<i8", count, count * 8),
        values=np.frombuffer(body, "<f8", count, count * 16),
    )


def _differenced_columns(planes: bytes, count: int, orders: Sequence[int]) -> Points:
    by_plane = np.frombuffer(planes, np.uint8).reshape(len(orders), 8, count)
    columns = np.ascontiguousarray(by_plane.transpose(0, 2, 1)).view("<u8")
    steps, times_us, values = (
        _summed(column.reshape(count), order) for column, order in zip(columns, orders, strict=True)
    )
    return Points(
        steps=steps.view(np.int64), times_us=times_us.view(np.int64), values=values.view(np.float64)
    )


def _summed(numbers: NDArray[np.uint64], order: int) -> NDArray[np.uint64]:
    """What was differenced so often, put together again."""
    if not order:
        return numbers
    sums = _unfolded(numbers)
    for start in range(order, 0, -1):
        np.cumsum(sums[start - 1 :], out=sums[start - 1 :])
    return sums
