"""How far apart two columns are by their missing, most frequent and different values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from studbook.drift_limits import (
    LEAST_DISTINCT_RATIO,
    LEAST_EXPECTED,
    Shares,
    choices,
    distinct_limit,
    least_share_change,
    share_chance,
)
from studbook.drift_measures import Kind, Measure, measures_of_shares
from studbook.sketch_values import read_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from studbook.sketch_values import SeenValues
    from studbook.tracking.v1.dataset_pb2 import ColumnProfile

    Value = str | float

_MOST_LISTED = 10
# Longer values are cut off where they are shown.
_LONGEST_VALUE = 64
# The largest exponent of which there is a number.
_MOST_WAYS = 700.0
# Whole numbers up to here are doubles, too.
_LARGEST_EXACT = 2**53


def compare_missing(
    one: int, of_one: int, other: int, of_other: int, chance: float
) -> Iterator[Measure]:
    """Compare the shares of missing values."""
    if of_one > 0 and of_other > 0:
        yield _share_measure(Kind.MISSING, (one, of_one, other, of_other), chance)


def compare_values(
    one: ColumnProfile, of_one: int, other: ColumnProfile, of_other: int, chance: float, kind: str
) -> Iterator[Measure]:
    """Compare the most frequent values, and how many different ones there are.

    Args:
        one: Profile of the first column.
        of_one: How many values it has.
        other: Profile of the second column.
        of_other: How many values it has.
        chance: How often, at most, each of the two comparisons may err.
        kind: Kind of the values: of numbers, 3 and 3.0 are the same.
    """
    first = _Listed.read(one, of_one, kind)
    second = _Listed.read(other, of_other, kind)
    if first.counts or second.counts:
        values = sorted(first.counts.keys() | second.counts.keys(), key=str)
        pairs = [_nearest(first, second, value) for value in values]
        yield _compare_shares(values, pairs, (of_one, of_other), chance / 3)
        if kind == "text":
            different = one.distinct_estimate + other.distinct_estimate
            yield _compare_new(first, second, different, chance / 3)
        if not one.HasField("numbers"):
            yield from measures_of_shares(_shares(pairs, of_one, of_other), chance / 3)
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
        seen: Of texts, what the sketch of different values remembers of them.
    """

    counts: Mapping[Value, int]
    error: int
    unlisted: int
    total: int
    least: float
    largest: float
    seen: SeenValues | None

    @classmethod
    def read(cls, profile: ColumnProfile, total: int, kind: str) -> _Listed:
        counts: Counter[Value] = Counter()
        for top in profile.top_values:
            counts[_value(top.value, numbers=kind == "number")] += max(top.count, 0)
        error = max(profile.top_value_error, 0)
        full = len(profile.top_values) >= _MOST_LISTED
        unlisted = (min(counts.values()) if full else 1) + error
        ranged = kind == "number" and profile.HasField("numbers")
        return cls(
            counts,
            error,
            min(unlisted, total),
            total,
            profile.numbers.min if ranged else -math.inf,
            profile.numbers.max if ranged else math.inf,
            _seen(profile.distinct_sketch) if kind == "text" else None,
        )

    def bounds(self, value: Value) -> tuple[int, int]:
        """How often a value occurs, at least and at most."""
        if value in self.counts:
            count = min(self.counts[value], self.total)
            return count, min(count + self.error, self.total)
        return 0, 0 if self.surely_lacks(value) else self.unlisted

    def surely_lacks(self, value: Value) -> bool:
        """Whether a value that is not listed certainly does not occur."""
        if isinstance(value, float):
            return not self.least <= value <= self.largest
        # What was cut off, or is shown in place of something else, is not the value.
        whole = len(value) < _LONGEST_VALUE and "\N{REPLACEMENT CHARACTER}" not in value
        return whole and self.seen is not None and self.seen.surely_lacks(value)


def _seen(sketch: bytes) -> SeenValues | None:
    try:
        return read_values(sketch)
    except ValueError:
        return None  # then less is known


def _text(value: Value) -> str:
    """A value as a person would write it: whole numbers without a point."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT
    return f"{value:.0f}" if whole else str(value)


def _value(text: str, *, numbers: bool) -> Value:
    if numbers:
        try:
            return float(text)
        except ValueError:
            pass
    return text


def _compare_shares(
    values: Sequence[Value],
    pairs: Sequence[tuple[int, int]],
    totals: tuple[int, int],
    chance: float,
) -> Measure:
    """The listed value whose share changed most, for what such a change has to be."""
    of_one, of_other = totals
    measures = [
        _share_measure(Kind.SHARE, (one, of_one, other, of_other), chance / len(values))
        for one, other in pairs
    ]
    most = max(range(len(values)), key=lambda place: _excess(measures[place]))
    return replace(measures[most], about=_text(values[most]))


def _excess(measure: Measure) -> tuple[bool, float]:
    return measure.drifted, measure.value / measure.limit


def _compare_new(first: _Listed, second: _Listed, different: float, chance: float) -> Measure:
    """The share of the listed values of one table that the other certainly has not."""
    gone, came = _rows_without(first, second), _rows_without(second, first)
    found = []
    for counts, values in (
        ((gone[0], first.total, 0, second.total), gone[1]),
        ((0, first.total, came[0], second.total), came[1]),
    ):
        # They were chosen from all values for being frequent here and missing there.
        ways = math.exp(min(choices(max(different, values), values), _MOST_WAYS))
        found.append(_share_measure(Kind.NEW, counts, chance / 2 / ways))
    return max(found, key=_excess)


def _rows_without(listed: _Listed, other: _Listed) -> tuple[int, int]:
    """How many rows have a listed value that the other table certainly has not; how many values."""
    lacking = [
        count
        for value, count in listed.counts.items()
        if value not in other.counts and other.surely_lacks(value)
    ]
    return min(sum(lacking), listed.total), len(lacking)


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


def _share_measure(kind: Kind, counts: tuple[int, int, int, int], chance: float) -> Measure:
    one, of_one, other, of_other = counts
    old, new = one / of_one, other / of_other
    apart = abs(old - new)
    limit = least_share_change(old, new)
    if apart > limit and share_chance(*counts) > chance:
        limit = _significant(counts, chance)
    return Measure(kind, apart, limit, apart > limit, old=old, new=new)


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
