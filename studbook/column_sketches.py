"""Sketches of the values of a column: how many are different, and how they are spread.

Apache DataSketches keeps them. Its HyperLogLog takes values one by one, which is slow for columns
of numbers; so NumPy picks those few that can change the sketch, and only they are handed over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import datasketches
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Keys = NDArray[Any]

# A power of two: 2048 registers in a kilobyte, of which the relative error is 2.3 %.
_LOG_REGISTERS = 11
_REGISTERS = 1 << _LOG_REGISTERS
# With fewer different values the sketch is a list of them, to which each may belong.
_SPARSE_VALUES = 256
_HANDED_AT_ONCE = 1024
# Numbers that are looked at together: what is worked out on the way stays near the processor.
_NUMBERS_AT_ONCE = 16_384

# Ranks of quantiles are right to 3 % with the first of these; the others are for columns whose
# profile would become too large.
QUANTILE_SIZES = (88, 64, 48, 32)
# The library takes numbers one by one. So of many numbers one out of eight is drawn, and their
# sketch, finer than the one it goes into, counts eight times: that errs by far less than 3 %.
_MANY = 65_536
_WORTH_DRAWING = 4096
_DRAWN_FROM = 8
_DRAWN_SIZE = 400
_RANDOM = np.random.default_rng()


class DistinctSketch:
    """How many different values there are."""

    def __init__(self) -> None:
        self._sketch = datasketches.hll_sketch(_LOG_REGISTERS, datasketches.tgt_hll_type.HLL_8)
        self._registers = np.zeros(_REGISTERS, dtype=np.uint8)
        # Hashes of the values that were handed over while they were few; None: no longer few.
        self._few: set[int] | None = set()

    def add_texts(self, values: Iterable[str]) -> None:
        """Take values, each as text."""
        update = self._sketch.update
        for value in values:
            # The library takes no empty text, which is a value all the same.
            update(value or "\0")

    def add_numbers(self, keys: Keys) -> None:
        """Take values, as whole numbers or as finite or infinite doubles without -0.0."""
        first = 0
        while self._few is not None and first < len(keys):
            part = keys[first : first + _HANDED_AT_ONCE]
            places, ranks = _places_and_ranks(*_murmur_hash(part.view(np.uint64)))
            self._few.update((places << 8 | ranks).tolist())
            self._raise(places, ranks)
            self._hand_over(part)
            first += len(part)
            if len(self._few) >= _SPARSE_VALUES:
                self._few = None
        for start in range(first, len(keys), _NUMBERS_AT_ONCE):
            self._add_to_many(keys[start : start + _NUMBERS_AT_ONCE])

    def _add_to_many(self, keys: Keys) -> None:
        low, high = _murmur_hash(keys.view(np.uint64))
        # Most numbers would not even raise the lowest of all registers.
        least = int(self._registers.min())
        able = np.flatnonzero(high < 2 ** (64 - least)) if least else np.arange(len(keys))
        places, ranks = _places_and_ranks(low[able], high[able])
        places &= _REGISTERS - 1
        higher = np.flatnonzero(ranks > self._registers[places])
        keys, places, ranks = keys[able[higher]], places[higher], ranks[higher]
        self._raise(places, ranks)
        self._hand_over(keys[ranks == self._registers[places]])

    def _raise(self, places: NDArray[np.int64], ranks: NDArray[np.int64]) -> None:
        np.maximum.at(self._registers, places & (_REGISTERS - 1), ranks.astype(np.uint8))

    def _hand_over(self, keys: Keys) -> None:
        update = self._sketch.update
        for key in keys.tolist():
            update(key)

    def result(self) -> tuple[float, bytes]:
        """The estimate, and the sketch in its portable form."""
        return _estimate_and_bytes(self._sketch, self._sketch)


def _places_and_ranks(
    low: NDArray[np.uint64], high: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where in the sketch values with these hashes belong, and what they raise the register to."""
    places = (low & np.uint64((1 << 26) - 1)).astype(np.int64)
    bits = np.frexp((high >> np.uint64(11)).astype(np.float64))[1]
    return places, np.minimum(53 - bits, 62).astype(np.int64) + 1


def _murmur_hash(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The hashes of numbers as DataSketches makes them: MurmurHash3 of eight bytes, seed 9001."""
    seed, length = 9001, 8
    low = keys * np.uint64(0x87C37B91114253D5)
    rest = low >> np.uint64(33)
    low <<= np.uint64(31)
    low |= rest
    low *= np.uint64(0x4CF5AD432745937F)
    low ^= np.uint64(seed ^ length)
    low += np.uint64(seed ^ length)
    high = low + np.uint64(seed ^ length)
    _finish(low, rest)
    _finish(high, rest)
    low += high
    high += low
    return low, high


def _finish(values: NDArray[np.uint64], rest: NDArray[np.uint64]) -> None:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values ^= np.right_shift(values, np.uint64(33), out=rest)
        values *= np.uint64(factor)
    values ^= np.right_shift(values, np.uint64(33), out=rest)


def merged_distinct(one: bytes, other: bytes) -> tuple[float, bytes]:
    """Estimate and sketch for the values of both."""
    read = datasketches.hll_sketch.deserialize
    return _estimate_and_bytes(read(one), read(other))


def _estimate_and_bytes(one: Any, other: Any) -> tuple[float, bytes]:
    # A sketch that was merged, be it with itself, estimates by its registers alone, and so does
    # not depend on which values it was given and in which order.
    union = datasketches.hll_union(_LOG_REGISTERS)
    union.update(one)
    union.update(other)
    result = union.get_result(datasketches.tgt_hll_type.HLL_4)
    return float(result.get_estimate()), bytes(result.serialize_compact())


class QuantileSketch:
    """How numbers are spread.

    Args:
        serialised: One to go on from; default: an empty one.
    """

    def __init__(self, serialised: bytes = b"") -> None:
        kind = datasketches.kll_doubles_sketch
        self._sketch = kind.deserialize(serialised) if serialised else kind(QUANTILE_SIZES[0])

    def add(self, values: NDArray[np.float64]) -> None:
        """Take numbers, among them no NaN."""
        whole = len(values) // _DRAWN_FROM * _DRAWN_FROM
        if whole < _WORTH_DRAWING or self._sketch.n + whole < _MANY:
            self._sketch.update(values)
            return
        places = np.arange(0, whole, _DRAWN_FROM)
        places += _RANDOM.integers(0, _DRAWN_FROM, len(places))
        drawn = datasketches.kll_doubles_sketch(_DRAWN_SIZE)
        drawn.update(values[places])
        for _ in range(_DRAWN_FROM):
            self._sketch.merge(drawn)
        self._sketch.update(values[whole:])

    def merge(self, other: QuantileSketch) -> None:
        """Take all the numbers of another."""
        self._sketch.merge(other._sketch)

    def smaller(self, size: int) -> QuantileSketch:
        """The same with less room, hence less precise."""
        result = QuantileSketch()
        result._sketch = datasketches.kll_doubles_sketch(size)
        result.merge(self)
        return result

    def quantiles(self, ranks: Iterable[float]) -> list[float]:
        """The numbers at these ranks; none when it is empty."""
        if self._sketch.is_empty():
            return []
        return [float(value) for value in self._sketch.get_quantiles(list(ranks))]

    def serialised(self) -> bytes:
        """The sketch in its portable form."""
        return bytes(self._sketch.serialize())


class Moments:
    """Smallest, largest, mean and deviation of numbers, added up chunk by chunk."""

    def __init__(self) -> None:
        self.least = math.inf
        self.largest = -math.inf
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Take numbers, among them no NaN."""
        if not len(values):
            return
        self.least = min(self.least, float(values.min()))
        self.largest = max(self.largest, float(values.max()))
        if not (math.isfinite(self.least) and math.isfinite(self.largest)):
            values = values[np.isfinite(values)]
        for first in range(0, len(values), _NUMBERS_AT_ONCE):
            part = values[first : first + _NUMBERS_AT_ONCE]
            with np.errstate(over="ignore", invalid="ignore"):
                mean = float(part.mean())
                if not math.isfinite(mean):  # the sum is too large, the mean is not
                    mean = float((part / len(part)).sum())
                squares = float(np.square(part - mean).sum())
            self.add_summary(len(part), mean, squares)

    def add_summary(self, count: int, mean: float, squares: float) -> None:
        """Take finite numbers of which only count, mean and sum of squared deviations are known."""
        if not count:
            return
        total = self.count + count
        self.squares += squares
        if self.count:
            apart = mean - self.mean
            self.squares += apart * apart * (self.count * count / total)
        self.mean = self.mean * (self.count / total) + mean * (count / total)
        self.count = total

    @property
    def deviation(self) -> float:
        """Standard deviation of the population; infinite where its square is beyond a double."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0
