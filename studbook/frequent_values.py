"""The most frequent values of a column, counted in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Keys = NDArray[Any]

Value = TypeVar("Value")

MOST_TOP_VALUES = 10
# Values that are counted at once; the rarest are forgotten. So a count is a lower bound, and exact
# for columns with fewer values.
MOST_COUNTED = 2048
# Numbers that are looked at to see whether many of them are different; of a long column more.
_SAMPLE = 1024
_LONG = 65_536
_LONG_SAMPLE = 8192
# A value that is expected so often in a sample is drawn twice, but for one of 80 000 times.
_SURELY_DRAWN = 14
# Of longer values only so many bytes are kept, which has room for what is shown of them.
_KEPT_BYTES = 256


class FrequentNumbers:
    """Counts of numbers.

    Args:
        most: How many different ones are counted at once.

    Attributes:
        error: How much more often than counted a value may occur, at most.
    """

    def __init__(self, most: int = MOST_COUNTED) -> None:
        self.error = 0
        self._most = most
        self._keys: Keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, keys: Keys) -> Keys:
        """Count numbers.

        Returns:
            The numbers that they are made of: each once where they are few, else as given.
        """
        wanted = _SAMPLE if len(keys) < _LONG else _LONG_SAMPLE
        sample, counts = np.unique(keys[:: max(1, len(keys) // wanted)], return_counts=True)
        if len(keys) <= wanted or len(sample) <= _of_few(int(counts.sum())):
            different, counts = np.unique(keys, return_counts=True)
            self._merge(different, counts)
            return different
        # Nearly all are different. What is frequent nonetheless was drawn more than once.
        candidates = sample[counts > 1]
        self.error += math.ceil(_SURELY_DRAWN * len(keys) / int(counts.sum()))
        if len(candidates):
            places = np.minimum(np.searchsorted(candidates, keys), len(candidates) - 1)
            hits = places[candidates[places] == keys]
            self._merge(candidates, np.bincount(hits, minlength=len(candidates)))
        return keys

    def _merge(self, keys: Keys, counts: NDArray[np.int64]) -> None:
        if len(self._keys):
            both = np.concatenate([self._keys, keys])
            keys, places = np.unique(both, return_inverse=True)
            weights = np.concatenate([self._counts, counts])
            counts = np.zeros(len(keys), dtype=np.int64)
            np.add.at(counts, places, weights)
        if len(keys) > self._most:
            kept = np.argpartition(counts, -self._most)[-self._most :]
            # What is forgotten occurred no more often than what is kept.
            keys, counts = keys[kept], counts[kept]
            self.error += int(counts.min())
        self._keys, self._counts = keys, counts

    def top(self) -> list[tuple[int | float, int]]:
        """The most frequent numbers and their counts, most frequent first."""
        pairs = zip(self._keys.tolist(), self._counts.tolist(), strict=True)
        return most_frequent(dict(pairs))


def _of_few(drawn: int) -> float:
    """How many different numbers there are at most among so many that were drawn from few."""
    return 1.1 * MOST_COUNTED * (1 - math.exp(-drawn / MOST_COUNTED))


class FrequentTexts:
    """Counts of texts or bytes, of long ones by their beginning and their hash.

    Args:
        most: How many different ones are counted at once.

    Attributes:
        error: How much more often than counted a value may occur, at most.
    """

    def __init__(self, most: int = MOST_COUNTED) -> None:
        self.error = 0
        self._most = most
        self._counts: dict[bytes, int] = {}

    def add(self, counts: Mapping[bytes, int]) -> None:
        """Add counts."""
        if len(counts) > self._most:
            counts = {value: count for value, count in counts.items() if count > 1}
            self.error += 1
        for value, count in counts.items():
            key = value if len(value) <= _KEPT_BYTES else _short(value)
            self._counts[key] = self._counts.get(key, 0) + count
        if len(self._counts) > 2 * self._most:
            kept = heapq.nlargest(self._most, self._counts.items(), key=lambda pair: pair[1])
            self._counts = dict(kept)
            self.error += kept[-1][1]

    def top(self) -> list[tuple[bytes, int]]:
        """The most frequent values and their counts, most frequent first."""
        return most_frequent(self._counts)


def _short(value: bytes) -> bytes:
    return value[:_KEPT_BYTES] + hashlib.blake2b(value, digest_size=16).digest()


def most_frequent(counts: Mapping[Value, int]) -> list[tuple[Value, int]]:
    """The ten most frequent values; those that occur once only are not frequent."""
    repeated = ((value, count) for value, count in counts.items() if count > 1)
    return heapq.nsmallest(MOST_TOP_VALUES, repeated, key=lambda pair: (-pair[1], str(pair[0])))
