"""One column of the inputs of a model, as it is looked at over many calls."""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.column_profilers import profiler_for
from studbook.dataset_tables import ColumnType, Fixed, Nested, Variable
from studbook.drift import family
from studbook.value_columns import is_missing, moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from studbook.column_profilers import Profiler
    from studbook.dataset_tables import Chunk

_log = logging.getLogger("studbook")
_NUMBER, _UNKNOWN = "number", "null"


class InputColumn:
    """Looks at the values of a column.

    All numbers are looked at as doubles, because the same input may come as 3 and as 3.5.

    Args:
        name: Name of the column.

    Attributes:
        type: Type in the words of Apache Arrow; `null` as long as there was no value.
        present: How many values there were.
    """

    def __init__(self, name: str) -> None:
        self.type = _UNKNOWN
        self.present = 0
        self._name = name
        self._kind = _UNKNOWN
        self._profiler: Profiler | None = None
        self._misfits: set[str] = set()

    def take(self, column: ColumnType, rows: Chunk) -> None:
        """Take the next rows; those of another kind than before count as missing."""
        present = _present(rows)
        if not present:
            return
        kind = family(column.shown)
        if self._kind == _UNKNOWN:
            self._begin(kind, column)
        if kind != self._kind:
            self._warn_once(kind)
            return
        self.present += present
        if self._profiler is not None:
            self._profiler.update(_as_doubles(rows) if kind == _NUMBER else rows)

    def profile(self) -> bytes:
        """The profile of the values so far, serialised; empty when they are not profiled."""
        return b"" if self._profiler is None else self._profiler.profile().SerializeToString()

    def _begin(self, kind: str, column: ColumnType) -> None:
        looked_at = ColumnType(self._name, "double", "double") if kind == _NUMBER else column
        self._kind, self.type = kind, looked_at.shown
        self._profiler = profiler_for(looked_at, 1)

    def _warn_once(self, kind: str) -> None:
        if kind not in self._misfits:
            self._misfits.add(kind)
            _log.warning(
                "Studbook: the input %r was a %s before and now is a %s; such values count as "
                "missing.",
                self._name[:80],
                self._kind,
                kind,
            )


def _present(rows: Chunk) -> int:
    match rows:
        case Fixed():
            valid = np.ones(len(rows.values), np.bool_) if rows.valid is None else rows.valid
            if rows.values.dtype.kind == "f":
                nans = np.isnan(rows.values).reshape(len(rows.values), -1).any(axis=1)
                valid = valid & ~nans
            return int(np.count_nonzero(valid))
        case Variable():
            count = len(rows.lengths)
        case Nested():
            count = rows.rows
    return count if rows.valid is None else int(np.count_nonzero(rows.valid))


def _as_doubles(rows: Chunk) -> Chunk:
    if isinstance(rows, Variable):  # decimals
        counts = rows.count()
        numbers = np.fromiter(map(float, counts), np.float64, len(counts))
        return Fixed(np.repeat(numbers, np.fromiter(counts.values(), np.int64, len(counts))))
    return Fixed(rows.values.astype(np.float64), rows.valid) if isinstance(rows, Fixed) else rows


def column_of_requests(name: str, values: Iterable[Any]) -> Iterator[tuple[ColumnType, Chunk]]:
    """Values of single requests as rows, those of each kind together, the most frequent kind first.

    Values that are of no kind which is profiled, such as lists, are left out.
    """
    by_kind: defaultdict[str, list[Any]] = defaultdict(list)
    for value in values:
        plain = value.item() if isinstance(value, np.generic) and not _is_time(value) else value
        if not is_missing(plain):
            by_kind[_kind(plain)].append(plain)
    by_kind.pop("", None)
    for kind, those in sorted(by_kind.items(), key=lambda pair: -len(pair[1])):
        yield ColumnType(name, kind, kind.partition("[")[0]), _rows(kind, those)


def _is_time(value: np.generic) -> bool:
    return isinstance(value, np.datetime64)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float, Decimal)):
        return "double"
    if isinstance(value, (dt.date, np.datetime64)):
        return "timestamp[us]"
    return "string" if isinstance(value, str) else "binary" if isinstance(value, bytes) else ""


def _rows(kind: str, values: list[Any]) -> Chunk:
    match kind:
        case "bool":
            return Fixed(np.array(values, np.bool_))
        case "double":
            return Fixed(np.array(list(map(_double, values)), np.float64))
        case "timestamp[us]":
            times: NDArray[Any] = np.array(list(map(_in_utc, values)), "M8[us]")
            times = times[~np.isnat(times)]
            return Fixed(moments(times.view(np.int64), "us"))
        case "string":
            return Variable.of([value.encode("utf-8", "surrogatepass") for value in values])
    return Variable.of(values)


def _double(value: float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond doubles
        return math.inf if value > 0 else -math.inf


def _in_utc(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    return value
