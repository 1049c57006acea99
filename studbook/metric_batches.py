"""Turning records of metrics, one for each call of `log()`, into columns, one for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from studbook.tracking.v1 import metric_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator


class MetricBatch:
    """Collects records; each key keeps its points in the order in which they came.

    Attributes:
        points: Number of points so far.
        end: Offset in the record file up to which the batch reaches.
    """

    def __init__(self) -> None:
        self.points = 0
        self.end = 0
        self._columns: dict[str, tuple[list[int], list[int], list[float]]] = {}
        # Calls with the same keys mostly follow one another; their rows are turned at once.
        self._keys: tuple[str, ...] = ()
        self._rows: list[tuple[float, ...]] = []

    def add(self, keys: tuple[str, ...], numbers: tuple[float, ...]) -> None:
        """Take in one record: its keys, and step, time and one value for each key."""
        if keys is not self._keys:
            self._turn_rows()
            self._keys = keys
        self._rows.append(numbers)
        self.points += len(keys)

    def series(self) -> Iterator[metric_pb2.MetricSeries]:
        """The points as columns."""
        self._turn_rows()
        for key, (steps, times, values) in self._columns.items():
            yield metric_pb2.MetricSeries(key=key, steps=steps, times_us=times, values=values)

    def _turn_rows(self) -> None:
        if not self._rows:
            return
        steps, times, *columns = zip(*self._rows, strict=True)
        for key, values in zip(self._keys, columns, strict=True):
            known = self._columns.setdefault(key, ([], [], []))
            # The rows mix whole and broken numbers; the first two columns are whole.
            known[0].extend(cast("tuple[int, ...]", steps))
            known[1].extend(cast("tuple[int, ...]", times))
            known[2].extend(values)
        self._rows = []
