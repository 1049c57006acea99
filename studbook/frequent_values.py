"""The most frequent values of a column, counted in bounded memory."""

from __future__ import annotations

import heapq
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
_MOST_COUNTED = 2048
_SAMPLE = 8192


class FrequentNumbers:
    """Counts of numbers."""

    def __init__(self) -> None:
        self._keys: Keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, keys: Keys) -> Keys:
        """Count numbers.

        Returns:
            The numbers that they are made of: each once where they are few, else as given.
        """
        sample, counts = np.unique(keys[:: max(1, len(keys) // _SAMPLE)], return_counts=True)
        if len(sample) <= _SAMPLE // 2 or len(keys) <= _SAMPLE:
            different, counts = np.unique(keys, return_counts=True)
            self._merge(different, counts)
            return different
        # Nearly all are different. What is frequent nonetheless was drawn more than once.
        candidates = sample[counts > 1]
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
        if len(keys) > _MOST_COUNTED:
            kept = np.argpartition(counts, -_MOST_COUNTED)[-_MOST_COUNTED:]
            keys, counts = keys[kept], counts[kept]
        self._keys, self._counts = keys, counts

    def top(self) -> list[tuple[int | float, int]]:
        """The most frequent numbers and their counts, most frequent first."""
        pairs = zip(self._keys.tolist(), self._counts.tolist(), strict=True)
        return most_frequent(dict(pairs))


class FrequentTexts:
    """Counts of texts or bytes."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def add(self, counts: Mapping[bytes, int]) -> None:
        """Add counts."""
        if len(counts) > _MOST_COUNTED:
            counts = {value: count for value, count in counts.items() if count > 1}
        for value, count in counts.items():
            self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > 2 * _MOST_COUNTED:
            kept = heapq.nlargest(_MOST_COUNTED, self._counts.items(), key=lambda pair: pair[1])
            self._counts = dict(kept)

    def top(self) -> list[tuple[bytes, int]]:
        """The most frequent values and their counts, most frequent first."""
        return most_frequent(self._counts)


def most_frequent(counts: Mapping[Value, int]) -> list[tuple[Value, int]]:
    """The ten most frequent values; those that occur once only are not frequent."""
    repeated = ((value, count) for value, count in counts.items() if count > 1)
    return heapq.nsmallest(MOST_TOP_VALUES, repeated, key=lambda pair: (-pair[1], str(pair[0])))
