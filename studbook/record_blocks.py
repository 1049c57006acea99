"""Reading a record file fast: many calls of `log()` with the same keys at once.

Such calls follow one another as frames of one length, so that one column of them lies at equal
distances in the file. It is taken out byte by byte with slices, without a step of Python for each
number.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

from studbook.record_log import FRAME_BYTES, MAGIC, METRICS, RawRecord, bytes_needed, frame_at

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_BYTES = 1024 * 1024
# Fewer frames than these are read faster one by one.
_FEWEST = 16
# What frames of one shape have in common: the length, and kind and shape after the checksum.
_SAME_BYTES = (0, 1, 2, 3, *range(FRAME_BYTES, FRAME_BYTES + 5))
_SHAPE_AT = FRAME_BYTES + 1
_STEP_AT = FRAME_BYTES + 5
_TIME_AT = _STEP_AT + 8
_VALUES_AT = _TIME_AT + 8


@dataclass(frozen=True, slots=True)
class MetricRows:
    """METRICS records of one shape that follow one another.

    Attributes:
        data: Their frames.
        stride: Bytes of each frame.
        start: Offset in the file of the first.
    """

    data: bytes
    stride: int
    start: int

    @property
    def shape(self) -> int:
        """Number of their shape."""
        return int.from_bytes(self.data[_SHAPE_AT:_STEP_AT], "little")

    def __len__(self) -> int:
        return len(self.data) // self.stride

    def first(self, number: int) -> MetricRows:
        """The first so many of them."""
        return MetricRows(self.data[: number * self.stride], self.stride, self.start)

    @property
    def end(self) -> int:
        """Offset in the file of the first byte after them."""
        return self.start + len(self.data)

    def steps(self) -> bytes:
        """Their steps, as 64-bit little-endian integers."""
        return self._column(_STEP_AT)

    def times(self) -> bytes:
        """Their times, as 64-bit little-endian integers."""
        return self._column(_TIME_AT)

    def values(self, place: int) -> bytes:
        """Their values of one key, by its place in the shape, as 64-bit little-endian floats."""
        return self._column(_VALUES_AT + 8 * place)

    def _column(self, at: int) -> bytes:
        column = bytearray(8 * len(self))
        for byte in range(8):
            column[byte::8] = self.data[at + byte :: self.stride]
        return bytes(column)


def read_blocks(
    descriptor: int, offset: int = 0, stop: int | None = None
) -> Iterator[RawRecord | MetricRows]:
    """Read records in order, up to the end or to the first that is not whole.

    Args:
        descriptor: The open file.
        offset: Where to begin: 0, or the end of a record.
        stop: Offset to stop at: the end of a record.
    """
    if offset == 0:
        if os.pread(descriptor, len(MAGIC), 0) != MAGIC:
            return
        offset = len(MAGIC)
    wanted = _READ_BYTES
    while stop is None or offset < stop:
        asked = wanted if stop is None else min(wanted, stop - offset)
        buffer = os.pread(descriptor, asked, offset)
        end = offset
        for block in _blocks(buffer, offset):
            yield block
            end = block.end
        if end == offset:
            # Nothing whole in it: one frame is longer than that, or the file ends here.
            needed = bytes_needed(buffer, 0)
            if len(buffer) < asked or needed <= asked:
                return
            wanted = needed
            continue
        offset, wanted = end, _READ_BYTES


def _blocks(buffer: bytes, offset: int) -> Iterator[RawRecord | MetricRows]:
    position = 0
    while (frame := frame_at(buffer, position)) is not None:
        body, checksum, length = frame
        if body[0] == METRICS and (number := _alike(buffer, position, length)) >= _FEWEST:
            data = buffer[position : position + number * length]
            whole = _whole(data, length)
            if whole:
                yield MetricRows(data[: whole * length], length, offset + position)
            if whole < number:
                return
            position += len(data)
            continue
        if crc32(body) != checksum:
            return
        position += length
        yield RawRecord(body[0], body[1:], offset + position)


def _alike(buffer: bytes, position: int, length: int) -> int:
    """How many frames from here on have the same length, kind and shape."""
    most = (len(buffer) - position) // length
    found, window = 0, _FEWEST
    while found < most:
        number = min(window, most - found)
        same = number
        for at in _SAME_BYTES:
            begin = position + found * length + at
            byte = buffer[position + at : position + at + 1]
            column = buffer[begin : begin + (same - 1) * length + 1 : length]
            same -= len(column.lstrip(byte))
            if not same:
                return found
        found += same
        if same < number:
            break
        # Growing windows: the work stays in proportion to what is found.
        window *= 4
    return found


def _whole(data: bytes, length: int) -> int:
    """How many frames there are before the first whose checksum is wrong."""
    whole = 0
    for checksum, payload in Struct(f"<4xI{length - FRAME_BYTES}s").iter_unpack(data):
        if crc32(payload) != checksum:
            break
        whole += 1
    return whole
