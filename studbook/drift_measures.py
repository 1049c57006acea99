"""One measured difference between two columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from studbook.drift_limits import (
    LEAST_JENSEN_SHANNON,
    LEAST_PSI,
    jensen_shannon,
    psi,
    times_chance,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.drift_limits import Shares


class Kind(StrEnum):
    """How a difference is measured."""

    MISSING = "missing"
    QUANTILES = "quantile distance"
    PSI = "PSI"
    JENSEN_SHANNON = "Jensen-Shannon"
    SHARE = "share of a value"
    NEW = "values that the other has not"
    DISTINCT = "different values"


@dataclass(frozen=True)
class Measure:
    """How far apart two columns are by one measure.

    Attributes:
        kind: The measure.
        value: How far apart; 0 for the same.
        limit: What it has to exceed: chance and trifles stay below.
        drifted: Whether it does.
        about: The value whose share is meant; empty for other measures.
        old: The share, or the number, in the first table, of measures that are about one.
        new: The same in the second table.
    """

    kind: Kind
    value: float
    limit: float
    drifted: bool
    about: str = ""
    old: float | None = None
    new: float | None = None


def measures_of_shares(shares: Shares, chance: float) -> Iterator[Measure]:
    """Compare how two columns are spread over the same bins or values.

    Args:
        shares: Their shares.
        chance: How often, at most, two samples of one population may be called drifted.
    """
    times = times_chance(shares, chance)
    for kind, value, least in (
        (Kind.PSI, psi(shares), LEAST_PSI),
        (Kind.JENSEN_SHANNON, jensen_shannon(shares), LEAST_JENSEN_SHANNON),
    ):
        # The distance is a root, the index is not; both grow with the squares of differences.
        by_chance = times if kind is Kind.PSI else times**0.5
        limit = max(value / by_chance, least) if by_chance else least
        yield Measure(kind, value, limit, value > limit)
