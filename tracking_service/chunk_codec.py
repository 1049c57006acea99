"""How the points of one metric batch become one stored value, and back.

A chunk is a header of six bytes (form, number of points) and the three columns. Steps and times
are kept as differences, which are small and alike; the eight bytes of each number are then
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

from tracking_service.records import Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADER = struct.Struct("<BxI")
_BYTES_PER_POINT = 24
# Below this, setting up the compressor costs more than the bytes it saves.
_FEWEST_COMPRESSED = 100
# Higher levels cost several times the processor time and save a few percent.
_LEVEL = 1


class _Form(IntEnum):
    PLAIN = 1
    SHUFFLED_ZSTD = 2


class _Compressors(threading.local):
    """One pair for each thread: the objects may not be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_compressors = _Compressors()


def encode(points: Points) -> bytes:
    """The points as bytes. Order, NaN payloads and all 64 bits of every number survive."""
    count = len(points)
    if count < _FEWEST_COMPRESSED:
        columns = (points.steps, points.times_us, points.values)
        plain = b"".join(_little_endian(column).tobytes() for column in columns)
        return _HEADER.pack(_Form.PLAIN, count) + plain
    shuffled = b"".join(
        _shuffled(column)
        for column in (_differences(points.steps), _differences(points.times_us), points.values)
    )
    compressed = _compressors.compressor.compress(shuffled)
    return _HEADER.pack(_Form.SHUFFLED_ZSTD, count) + compressed


def decode(chunk: bytes) -> Points:
    """The points that `encode` was given.

    Raises:
        ValueError: The chunk is not one that `encode` made.
    """
    form, count = _HEADER.unpack_from(chunk)
    body = memoryview(chunk)[_HEADER.size :]
    if form == _Form.PLAIN:
        return _plain_columns(body, count)
    if form == _Form.SHUFFLED_ZSTD:
        size = count * _BYTES_PER_POINT
        return _shuffled_columns(
            _compressors.decompressor.decompress(body, max_output_size=size), count
        )
    message = f"metric chunk has the unknown form {form}"
    raise ValueError(message)


def _little_endian(column: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))


def _differences(column: NDArray[np.int64]) -> NDArray[np.uint64]:
    # Unsigned, because differences of extreme values wrap around, and wrap back when summed.
    unsigned = np.ascontiguousarray(column).view(np.uint64)
    differences = unsigned.copy()
    differences[1:] -= unsigned[:-1]
    return differences


def _shuffled(column: NDArray[np.generic]) -> bytes:
    return _little_endian(column).view(np.uint8).reshape(-1, 8).T.tobytes()


def _plain_columns(body: memoryview, count: int) -> Points:
    return Points(
        steps=np.frombuffer(body, "<i8", count, 0),
        times_us=np.frombuffer(body, "<i8", count, count * 8),
        values=np.frombuffer(body, "<f8", count, count * 16),
    )


def _shuffled_columns(body: bytes, count: int) -> Points:
    planes = np.frombuffer(body, np.uint8).reshape(3, 8, count)
    columns = np.ascontiguousarray(planes.transpose(0, 2, 1)).view("<u8").reshape(3, count)
    return Points(
        steps=np.cumsum(columns[0], dtype=np.uint64).view(np.int64),
        times_us=np.cumsum(columns[1], dtype=np.uint64).view(np.int64),
        values=columns[2].view(np.float64),
    )
