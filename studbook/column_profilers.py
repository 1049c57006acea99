"""Profiles of columns, built from the same pieces that are hashed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from studbook.column_sketches import QUANTILE_SIZES, DistinctSketch, Moments, QuantileSketch
from studbook.dataset_tables import Fixed, Variable
from studbook.frequent_values import MOST_COUNTED, FrequentNumbers, FrequentTexts
from studbook.tracking.v1 import dataset_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from studbook.dataset_tables import Chunk, ColumnType

# What the contract allows for one column.
MOST_BYTES = 4096
QUANTILE_RANKS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_LONGEST_TOP_VALUE = 64
_MICROSECONDS_A_DAY = 86_400 * 10**6
_FARTHEST_S = 2**63 // 10**6 - 1
_MOST_COUNTED_IN_ALL = 2_000_000


class Profiler(Protocol):
    """Looks at the rows of one column."""

    def update(self, chunk: Chunk) -> None:
        """Take the next rows."""

    def profile(self) -> dataset_pb2.ColumnProfile:
        """What the rows so far look like, in at most `MOST_BYTES`."""


def profiler_for(column: ColumnType, columns: int) -> Profiler | None:
    """What looks at a column; None for lists, structs, tensors and columns without any value.

    Args:
        column: What the column is.
        columns: How many columns are looked at: of very many, fewer values of each are counted.
    """
    kind = column.canonical.partition("[")[0]
    most = min(MOST_COUNTED, _MOST_COUNTED_IN_ALL // max(1, columns))
    if kind in _NUMBERS:
        return NumberProfiler(_reading(column.canonical), most)
    if kind in {"string", "binary"}:
        return TextProfiler(most, binary=kind == "binary")
    return DecimalProfiler(most) if kind == "decimal" else None


@dataclass(frozen=True)
class Reading:
    """How the values of a type are read.

    Attributes:
        keys: Values as whole numbers or doubles, by which they are told apart.
        doubles: The numbers that the keys stand for.
        text: A key as a person would write the value.
    """

    keys: Callable[[NDArray[Any]], NDArray[Any]]
    doubles: Callable[[NDArray[Any]], NDArray[np.float64]]
    text: Callable[[Any], str]


def _as_double(keys: NDArray[Any]) -> NDArray[np.float64]:
    return keys.astype(np.float64, copy=False)


def _microseconds(values: NDArray[Any]) -> NDArray[np.int64]:
    """The times in microseconds; those for which 64 bits have no room count as the farthest."""
    seconds = np.clip(values["seconds"], -_FARTHEST_S, _FARTHEST_S)
    keys: NDArray[np.int64] = seconds * 10**6 + values["nanoseconds"] // 1000
    return keys


def _moment_text(key: int) -> str:
    return str(np.datetime64(key, "us"))


_FLOAT = Reading(lambda values: values.astype(np.float64) + 0.0, _as_double, repr)
_SIGNED = Reading(lambda values: values.astype(np.int64, copy=False), _as_double, str)
_UNSIGNED = Reading(
    lambda values: values.view(np.int64),
    lambda keys: keys.view(np.uint64).astype(np.float64),
    lambda key: str(key % 2**64),
)
_NUMBERS: dict[str, Reading] = {
    "bool": Reading(_SIGNED.keys, _as_double, lambda key: "true" if key else "false"),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), _SIGNED),
    "class_label": _SIGNED,
    "uint64": _UNSIGNED,
    **dict.fromkeys(("halffloat", "float", "double"), _FLOAT),
    "date32": Reading(
        _SIGNED.keys,
        lambda keys: _as_double(keys) * _MICROSECONDS_A_DAY,
        lambda key: str(np.datetime64(key, "D")),
    ),
    "timestamp": Reading(_microseconds, _as_double, _moment_text),
    "time": Reading(_microseconds, _as_double, lambda key: _moment_text(key)[11:]),
    "duration": Reading(_microseconds, _as_double, lambda key: f"{key / 10**6} s"),
}


def _reading(canonical: str) -> Reading:
    kind, _, zone = canonical.partition("[")
    reading = _NUMBERS[kind]
    if kind == "timestamp" and zone:  # with a time zone the moments are in UTC
        return Reading(reading.keys, reading.doubles, lambda key: _moment_text(key) + "Z")
    return reading


class NumberProfiler:
    """Looks at numbers, truth values and times, many at once.

    Args:
        reading: How the values of the column are read.
        most: How many different ones are counted at once.
    """

    def __init__(self, reading: Reading, most: int) -> None:
        self._reading = reading
        self._nans = 0
        self._moments = Moments()
        self._quantiles = QuantileSketch()
        self._distinct = DistinctSketch()
        self._frequent = FrequentNumbers(most)

    def update(self, chunk: Chunk) -> None:
        """Take the next rows."""
        assert isinstance(chunk, Fixed)  # noqa: S101 - for the type checker
        values = chunk.values if chunk.valid is None else chunk.values[chunk.valid]
        if values.dtype.kind == "f":
            nans = np.isnan(values)
            count = int(np.count_nonzero(nans))
            self._nans += count
            values = values[~nans] if count else values
        keys = np.ascontiguousarray(self._reading.keys(values))
        if not len(keys):
            return
        doubles = self._reading.doubles(keys)
        self._moments.add(doubles)
        self._quantiles.add(doubles)
        self._distinct.add_numbers(self._frequent.add(keys))

    def profile(self) -> dataset_pb2.ColumnProfile:
        """What the rows so far look like."""
        distinct, sketch = self._distinct.result()
        top = [(self._reading.text(key), count) for key, count in self._frequent.top()]
        return within_limit(
            dataset_pb2.ColumnProfile(
                distinct_estimate=distinct,
                nan_count=self._nans,
                numbers=number_message(self._moments, self._quantiles),
                top_values=_top_values(top),
                top_value_error=self._frequent.error,
                quantile_sketch=self._quantiles.serialised(),
                distinct_sketch=sketch,
            )
        )


class TextProfiler:
    """Looks at texts, or at bytes.

    Args:
        most: How many different ones are counted at once.
        binary: The values are bytes. Their lengths are in bytes, and what is shown of them is
            hexadecimal.
    """

    def __init__(self, most: int, *, binary: bool) -> None:
        self._binary = binary
        self._shortest: int | None = None
        self._longest = 0
        self._distinct = DistinctSketch()
        self._frequent = FrequentTexts(most)

    def update(self, chunk: Chunk) -> None:
        """Take the next rows."""
        assert isinstance(chunk, Variable)  # noqa: S101 - for the type checker
        self.add(chunk.count())

    def add(self, counts: Mapping[bytes, int]) -> None:
        """Take values, each with how often it occurs."""
        self._frequent.add(counts)
        self._distinct.add_texts(self._measured(counts))

    def _measured(self, values: Iterable[bytes]) -> Iterator[str]:
        """The values as text, one at a time: they may be large."""
        encoding = "latin-1" if self._binary else "utf-8"
        for value in values:
            text = value.decode(encoding, "replace")
            length = len(text)
            if self._shortest is None or length < self._shortest:
                self._shortest = length
            self._longest = max(self._longest, length)
            yield text

    def profile(self) -> dataset_pb2.ColumnProfile:
        """What the rows so far look like."""
        distinct, sketch = self._distinct.result()
        texts = dataset_pb2.TextProfile(min_length=self._shortest or 0, max_length=self._longest)
        top = [
            (value.hex() if self._binary else value.decode("utf-8", "replace"), count)
            for value, count in self._frequent.top()
        ]
        return within_limit(
            dataset_pb2.ColumnProfile(
                distinct_estimate=distinct,
                texts=None if self._shortest is None else texts,
                top_values=_top_values(top),
                top_value_error=self._frequent.error,
                distinct_sketch=sketch,
            )
        )


class DecimalProfiler:
    """Looks at decimal numbers."""

    def __init__(self, most: int) -> None:
        self._texts = TextProfiler(most, binary=False)
        self._moments = Moments()
        self._quantiles = QuantileSketch()

    def update(self, chunk: Chunk) -> None:
        """Take the next rows."""
        assert isinstance(chunk, Variable)  # noqa: S101 - for the type checker
        counts = chunk.count()
        self._texts.add(counts)
        numbers = np.fromiter(map(float, counts), np.float64, len(counts))
        doubles = np.repeat(numbers, np.fromiter(counts.values(), np.int64, len(counts)))
        self._moments.add(doubles)
        self._quantiles.add(doubles)

    def profile(self) -> dataset_pb2.ColumnProfile:
        """What the rows so far look like."""
        profile = self._texts.profile()
        profile.ClearField("texts")
        profile.quantile_sketch = self._quantiles.serialised()
        numbers = number_message(self._moments, self._quantiles)
        if numbers is not None:
            profile.numbers.CopyFrom(numbers)
        return within_limit(profile)


def number_message(moments: Moments, quantiles: QuantileSketch) -> dataset_pb2.NumberProfile | None:
    """What numbers look like; None when there are none."""
    spread = quantiles.quantiles(QUANTILE_RANKS)
    if not spread:
        return None
    return dataset_pb2.NumberProfile(
        min=moments.least,
        max=moments.largest,
        mean=moments.mean,
        standard_deviation=moments.deviation,
        quantiles=spread,
        finite_count=moments.count,
    )


def within_limit(profile: dataset_pb2.ColumnProfile) -> dataset_pb2.ColumnProfile:
    """The profile made small enough: first with a coarser sketch, then with fewer top values."""
    for size in QUANTILE_SIZES[1:]:
        if profile.ByteSize() <= MOST_BYTES or not profile.quantile_sketch:
            break
        sketch = QuantileSketch(profile.quantile_sketch)
        profile.quantile_sketch = sketch.smaller(size).serialised()
    while profile.ByteSize() > MOST_BYTES and profile.top_values:
        lost = profile.top_values.pop().count
        profile.top_value_error = max(profile.top_value_error, lost)
    return profile


def _top_values(top: list[tuple[str, int]]) -> list[dataset_pb2.TopValue]:
    return [
        dataset_pb2.TopValue(
            value=value[:_LONGEST_TOP_VALUE].replace("\0", "\N{REPLACEMENT CHARACTER}"), count=count
        )
        for value, count in top
    ]
