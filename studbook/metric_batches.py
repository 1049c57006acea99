"""Turning records of metrics, one for each call of `log()`, into columns, one for each key.

A batch is made as the bytes of an `AppendMetricsRequest`: the contract's columns are packed fixed64
and double, which are the little-endian numbers of the record file one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studbook.record_blocks import MetricRows

_VARINT_BITS = 7


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one key, each column as 64-bit little-endian numbers."""

    key: str
    steps: bytes
    times: bytes
    values: bytes

    def __len__(self) -> int:
        return len(self.values) // 8

    def parts(self, points: int) -> Iterator[Series]:
        """The same in parts of at most so many points."""
        size = 8 * points
        for first in range(0, len(self.values), size):
            part = slice(first, first + size)
            yield Series(self.key, self.steps[part], self.times[part], self.values[part])

    def encoded(self) -> bytes:
        """The bytes of a `MetricSeries`."""
        return b"".join(
            (
                _field(1, self.key.encode()),
                _field(2, self.steps),
                _field(3, self.times),
                _field(4, self.values),
            )
        )


def encoded_request(run: str, writer: str, sequence: int, series: Sequence[Series]) -> bytes:
    """The bytes of an `AppendMetricsRequest`."""
    head = (_field(1, run.encode()), _field(2, writer.encode()), b"\x18", _varint(sequence))
    return b"".join((*head, *(_field(4, one.encoded()) for one in series)))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 1 << _VARINT_BITS:
        encoded.append(number & 0x7F | 0x80)
        number >>= _VARINT_BITS
    encoded.append(number)
    return bytes(encoded)


class MetricBatch:
    """Collects records; each key keeps its points in the order in which they came.

    Args:
        most_points: How many points it takes.

    Attributes:
        points: Number of points so far.
        end: Offset in the record file up to which the batch reaches.
    """

    def __init__(self, most_points: int) -> None:
        self.points = 0
        self.end = 0
        self._most = most_points
        self._columns: dict[str, tuple[list[bytes], list[bytes], list[bytes]]] = {}
        # Calls with the same keys mostly follow one another; their rows are turned at once.
        self._keys: tuple[str, ...] = ()
        self._rows: list[tuple[float, ...]] = []

    @property
    def is_full(self) -> bool:
        """Whether it has as many points as it takes."""
        return self.points >= self._most

    def add(self, keys: tuple[str, ...], numbers: tuple[float, ...], end: int) -> bool:
        """Take in one record: its keys, and step, time and one value for each key.

        Returns:
            False when there is no room for it. An empty batch has room for any.
        """
        if self.points and self.points + len(keys) > self._most:
            return False
        if keys is not self._keys:
            self._turn_rows()
            self._keys = keys
        self._rows.append(numbers)
        self.points += len(keys)
        self.end = end
        return True

    def add_rows(self, keys: tuple[str, ...], rows: MetricRows) -> bool:
        """Take in as many records of one shape as there is room for.

        Returns:
            Whether that was all of them. An empty batch has room for one at least.
        """
        room = (self._most - self.points) // max(len(keys), 1)
        if room < 1 and self.points:
            return False
        self._turn_rows()
        taken = rows.first(max(room, 1))
        steps, times = taken.steps(), taken.times()
        for place, key in enumerate(keys):
            self._extend(key, steps, times, taken.values(place))
        self.points += len(taken) * len(keys)
        self.end = taken.end
        return len(taken) == len(rows)

    def series(self) -> list[Series]:
        """The points as columns."""
        self._turn_rows()
        return [
            Series(key, *(b"".join(pieces) for pieces in columns))
            for key, columns in self._columns.items()
        ]

    def _turn_rows(self) -> None:
        if not self._rows:
            return
        number = len(self._rows)
        steps, times, *columns = zip(*self._rows, strict=True)
        packed_steps, packed_times = pack(f"<{number}q", *steps), pack(f"<{number}q", *times)
        for key, values in zip(self._keys, columns, strict=True):
            self._extend(key, packed_steps, packed_times, pack(f"<{number}d", *values))
        self._rows = []

    def _extend(self, key: str, steps: bytes, times: bytes, values: bytes) -> None:
        known = self._columns.setdefault(key, ([], [], []))
        for pieces, piece in zip(known, (steps, times, values), strict=True):
            pieces.append(piece)
