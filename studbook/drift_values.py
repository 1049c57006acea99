"""How far apart two columns are by their missing, most frequent and different values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studbook.drift_limits import (
    LEAST_DISTINCT_RATIO,
    LEAST_EXPECTED,
    Shares,
    distinct_limit,
    least_share_change,
    share_chance,
)
from studbook.drift_measures import Kind, Measure, measures_of_shares

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from studbook.tracking.v1.dataset_pb2 import ColumnProfile

    Value = str | float

_MOST_LISTED = 10


def compare_missing(
    one: int, of_one: int, other: int, of_other: int, chance: float
) -> Iterator[Measure]:
    """Compare the shares of missing values."""
    if of_one > 0 and of_other > 0:
        yield _share_measure(Kind.MISSING, (one, of_one, other, of_other), chance)


def compare_values(
    one: ColumnProfile,
    of_one: int,
    other: ColumnProfile,
    of_other: int,
    chance: float,
    *,
    numbers: bool,
) -> Iterator[Measure]:
    """Compare the most frequent values, and how many different ones there are.

    Args:
        one: Profile of the first column.
        of_one: How many values it has.
        other: Profile of the second column.
        of_other: How many values it has.
        chance: How often, at most, each of the two comparisons may err.
        numbers: Values are told apart as numbers: 3 and 3.0 are the same.
    """
    first = _Listed.read(one, of_one, numbers=numbers)
    second = _Listed.read(other, of_other, numbers=numbers)
    if first.counts or second.counts:
        yield from _compare_shares(first, second, chance, binned=not one.HasField("numbers"))
    estimates = (one.distinct_estimate, other.distinct_estimate)
    yield _compare_distinct(estimates, (of_one, of_other), chance)


@dataclass(frozen=True)
class _Listed:
    """The most frequent values of a column.

    Attributes:
        counts: How often each occurs, at least.
        error: How much more often it may occur.
        unlisted: How often any other value occurs, at most.
        total: How many values there are.
        least: Smallest number; of other columns, minus infinity.
        largest: Largest number; of other columns, infinity.
    """

    counts: Mapping[Value, int]
    error: int
    unlisted: int
    total: int
    least: float
    largest: float

    @classmethod
    def read(cls, profile: ColumnProfile, total: int, *, numbers: bool) -> _Listed:
        counts: Counter[Value] = Counter()
        for top in profile.top_values:
            counts[_value(top.value, numbers=numbers)] += max(top.count, 0)
        error = max(profile.top_value_error, 0)
        full = len(profile.top_values) >= _MOST_LISTED
        unlisted = (min(counts.values()) if full else 1) + error
        ranged = numbers and profile.HasField("numbers")
        return cls(
            counts,
            error,
            min(unlisted, total),
            total,
            profile.numbers.min if ranged else -math.inf,
            profile.numbers.max if ranged else math.inf,
        )

    def bounds(self, value: Value) -> tuple[int, int]:
        """How often a value occurs, at least and at most."""
        if value in self.counts:
            count = min(self.counts[value], self.total)
            return count, min(count + self.error, self.total)
        if isinstance(value, float) and not self.least <= value <= self.largest:
            return 0, 0
        return 0, self.unlisted


def _value(text: str, *, numbers: bool) -> Value:
    if numbers:
        try:
            return float(text)
        except ValueError:
            pass
    return text


def _compare_shares(
    first: _Listed, second: _Listed, chance: float, *, binned: bool
) -> Iterator[Measure]:
    """Compare the shares of all listed values, each as near to the other as the profiles allow."""
    values = sorted(first.counts.keys() | second.counts.keys(), key=str)
    pairs = [_nearest(first, second, value) for value in values]
    measures = [
        _share_measure(
            Kind.SHARE,
            (one, first.total, other, second.total),
            chance / 2 / len(values),
            about=str(value),
        )
        for value, (one, other) in zip(values, pairs, strict=True)
    ]
    yield max(measures, key=lambda measure: (measure.drifted, measure.value / measure.limit))
    if binned:
        yield from measures_of_shares(_shares(pairs, first.total, second.total), chance / 2)


def _shares(pairs: Sequence[tuple[int, int]], of_one: int, of_other: int) -> Shares:
    """Shares of the values, those that are rare together with all that are not listed."""
    common = [
        (one, other)
        for one, other in pairs
        if (one + other) / (of_one + of_other) * min(of_one, of_other) >= LEAST_EXPECTED
    ]
    # A rest that is rare as well goes with the rarest of the others.
    rest = of_one + of_other - sum(map(sum, common))
    if common and rest / (of_one + of_other) * min(of_one, of_other) < LEAST_EXPECTED:
        common.remove(min(common, key=sum))
    first = [one / of_one for one, _ in common]
    second = [other / of_other for _, other in common]
    first.append(max(0.0, 1 - sum(first)))
    second.append(max(0.0, 1 - sum(second)))
    return Shares(first, second, of_one, of_other)


def _nearest(first: _Listed, second: _Listed, value: Value) -> tuple[int, int]:
    """How often a value occurs in both, so that its shares are as near as they can be."""
    one_least, one_most = first.bounds(value)
    other_least, other_most = second.bounds(value)
    if one_least * second.total > other_most * first.total:
        return one_least, other_most
    if other_least * first.total > one_most * second.total:
        return one_most, other_least
    # They may be the same: the one that is known better says which.
    if one_most - one_least <= other_most - other_least:
        return one_least, round(one_least / first.total * second.total)
    return round(other_least / second.total * first.total), other_least


def _share_measure(
    kind: Kind, counts: tuple[int, int, int, int], chance: float, about: str = ""
) -> Measure:
    one, of_one, other, of_other = counts
    old, new = one / of_one, other / of_other
    apart = abs(old - new)
    limit = least_share_change(old, new)
    if apart > limit and share_chance(*counts) > chance:
        limit = _significant(counts, chance)
    return Measure(kind, apart, limit, apart > limit, about, old, new)


def _significant(counts: tuple[int, int, int, int], chance: float) -> float:
    """How far apart the shares had to be, with the smaller one as it is."""
    one, of_one, other, of_other = counts
    if one * of_other < other * of_one:
        one, of_one, other, of_other = other, of_other, one, of_one
    low, high = one, of_one
    while low < high:
        middle = (low + high) // 2
        if share_chance(middle, of_one, other, of_other) > chance:
            low = middle + 1
        else:
            high = middle
    return low / of_one - other / of_other


def _compare_distinct(
    estimates: tuple[float, float], totals: tuple[int, int], chance: float
) -> Measure:
    """Compare how many different values there are, in tables of unlike numbers of rows.

    More rows have more different values, but no more of them for each row. So what tells is when
    the smaller table has more than the larger, or fewer for each row.
    """
    (of_small, small), (of_large, large) = sorted(zip(totals, estimates, strict=True))
    small, large = max(small, 1.0), max(large, 1.0)
    ratio = max(small / large, (large / of_large) / (small / of_small), 1.0)
    limit = max(distinct_limit(small, large, chance), LEAST_DISTINCT_RATIO)
    return Measure(Kind.DISTINCT, ratio - 1, limit - 1, ratio > limit)
