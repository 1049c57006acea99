"""How far apart two columns of numbers are, by their quantile sketches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from studbook.drift_limits import (
    LEAST_EXPECTED,
    LEAST_QUANTILE_DISTANCE,
    Shares,
    noise_of,
    quantile_limit,
)
from studbook.drift_measures import Kind, Measure, measures_of_shares
from studbook.sketch_ranks import read_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from studbook.sketch_ranks import SketchRanks

_TENTHS = np.arange(1, 10) / 10
_LEAST_BIN = 0.05


def compare_numbers(one: bytes, other: bytes, chance: float) -> Iterator[Measure]:
    """Compare two columns by their sketches.

    Args:
        one: KLL sketch of the first column.
        other: KLL sketch of the second column.
        chance: How often, at most, two samples of one population may be called drifted.

    Raises:
        ValueError: When one of them is missing or no sketch.
    """
    if not one or not other:
        message = "its profile has no quantile sketch, because the table has so many columns"
        raise ValueError(message)
    first, second = read_ranks(one), read_ranks(other)
    if first is None or second is None:
        return iter(())
    return _measures(first, second, chance / 2)


def _measures(first: SketchRanks, second: SketchRanks, chance: float) -> Iterator[Measure]:
    noise = noise_of(first.effective, second.effective)
    points = np.concatenate([first.values, second.values])
    points.sort()
    before, after = first.at_most(points), second.at_most(points)
    distance = float(np.abs(before - after).max())
    limit = max(quantile_limit(noise, chance), LEAST_QUANTILE_DISTANCE)
    yield Measure(Kind.QUANTILES, distance, limit, distance > limit)
    # Summed before it is divided, so that rounding puts the ends of bins in the same places
    # whichever comes first.
    together = first.effective * before + second.effective * after
    pooled = together / (first.effective + second.effective)
    least = max(_LEAST_BIN, LEAST_EXPECTED / min(first.effective, second.effective))
    edges = _edges(pooled, least)
    shares = Shares(
        _shares(before[edges].tolist()),
        _shares(after[edges].tolist()),
        first.effective,
        second.effective,
    )
    yield from measures_of_shares(shares, chance)


def _edges(upto: NDArray[np.float64], least: float) -> list[int]:
    """Places of the points at which bins end, a tenth of all in each, as far as numbers allow.

    Args:
        upto: Which share of the numbers are no larger than each point.
        least: What a bin holds at least; smaller ones would be as small as the error of a sketch.
    """
    edges: list[int] = []
    reached = 0.0
    # Of equal points all have the same share, so the first of them stands for all.
    for place in np.searchsorted(upto, _TENTHS).tolist():
        share = float(upto[place])
        if share - reached >= least and share <= 1 - least:
            edges.append(place)
            reached = share
    return edges


def _shares(upto: list[float]) -> list[float]:
    return [end - begin for begin, end in pairwise([0.0, *upto, 1.0])]
