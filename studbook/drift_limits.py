"""How large a difference must be before it means something.

Two bounds, both of which a measure has to pass: what chance alone brings about between two samples
of one population (which shrinks with the number of rows), and what is too small to matter (which
does not). docs/what-changed.md gives formulas and sources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# How often, at most, two samples of one population are called drifted, over all columns together.
FALSE_ALARMS = 0.005

# Differences below these are trifles, however many rows say so.
LEAST_QUANTILE_DISTANCE = 0.1
LEAST_PSI = 0.1
LEAST_JENSEN_SHANNON = 0.1
LEAST_DISTINCT_RATIO = 1.5
# Cochran's rule: of bins or values that are expected more rarely, chi-square says too little.
LEAST_EXPECTED = 5

# A share is another one when it is apart by five points, or, near 0 and 1, by Cohen's small effect.
_LEAST_SHARE = 0.05
_SMALL_EFFECT = 0.2

# The relative error of the estimate of different values.
_DISTINCT_ERROR = 0.023
# The constant of Wei and Dudley's two-sample inequality, which holds from four rows on.
_TWO_SAMPLES = 2.17


@dataclass(frozen=True)
class Shares:
    """How two columns are spread over the same bins or values.

    Attributes:
        first: Shares of the first column; they add up to 1.
        second: Shares of the second column.
        of_first: From how many rows the first were counted, or as if from how many.
        of_second: The same of the second.
    """

    first: list[float]
    second: list[float]
    of_first: float
    of_second: float

    def pairs(self) -> Iterator[tuple[float, float]]:
        """The two shares of each bin."""
        return zip(self.first, self.second, strict=True)

    def pooled(self) -> list[float]:
        """Shares of both columns together."""
        weight = self.of_first / (self.of_first + self.of_second)
        return [weight * one + (1 - weight) * other for one, other in self.pairs()]


def noise_of(one: float, other: float) -> float:
    """How much noise there is between samples of so many rows: the sum of their inverses."""
    return 1 / max(one, 1.0) + 1 / max(other, 1.0)


def quantile_limit(noise: float, chance: float) -> float:
    """What the largest distance between two distribution functions exceeds by chance."""
    return math.sqrt(math.log(_TWO_SAMPLES / chance) / 2 * noise)


def times_chance(shares: Shares, chance: float) -> float:
    """How many times larger the differences of shares are than what chance brings about.

    Pearson's statistic for two samples, over its quantile.
    """
    freedom = max(len(shares.first) - 1, 1)
    deviate = NormalDist().inv_cdf(1 - chance)
    spread = 2 / (9 * freedom)
    # Wilson and Hilferty's quantile of chi-square.
    quantile = freedom * (1 - spread + deviate * math.sqrt(spread)) ** 3
    statistic = sum(
        (one - other) ** 2 / pooled
        for one, other, pooled in zip(shares.first, shares.second, shares.pooled(), strict=True)
        if pooled > 0
    )
    return statistic / noise_of(shares.of_first, shares.of_second) / quantile


def distinct_limit(one: float, other: float, chance: float) -> float:
    """What the ratio of two estimates of different values exceeds by chance."""
    deviate = NormalDist().inv_cdf(1 - chance)
    variance = 2 * _DISTINCT_ERROR**2 + 1 / max(one, 1.0) + 1 / max(other, 1.0)
    return math.exp(deviate * math.sqrt(variance))


def least_share_change(one: float, other: float) -> float:
    """How far apart two shares have to be for one to be another."""
    # What comes near to 1 is as rare in what it leaves out as what comes near to 0 is itself.
    rare = min(one, other, 1 - one, 1 - other)
    effect = math.sin(math.asin(math.sqrt(max(rare, 0.0))) + _SMALL_EFFECT / 2) ** 2
    return min(_LEAST_SHARE, effect - rare)


def choices(total: float, chosen: int) -> float:
    """Logarithm of the number of ways to choose so many of all."""
    rest = max(total - chosen, 0.0)
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(rest + 1)


def share_chance(one: int, of_one: int, other: int, of_other: int) -> float:
    """How likely two shares differ as much as this by chance: Fisher's exact test, from above.

    Args:
        one: Rows of the first table that have a value.
        of_one: Rows of the first table.
        other: Rows of the second table that have it.
        of_other: Rows of the second table.
    """
    if not of_one or not of_other:
        return 1.0
    if one * of_other < other * of_one:
        one, of_one, other, of_other = other, of_other, one, of_one
    # The first has more than its part. The terms of the tail fall at least as fast as a geometric
    # series, which has a sum.
    ratio = (of_one - one) * other / ((one + 1) * (of_other - other + 1))
    if ratio >= 1:
        return 1.0
    logarithm = (
        choices(of_one, one) + choices(of_other, other) - choices(of_one + of_other, one + other)
    )
    # It is one of a probability; of very many rows it is rounded.
    return min(1.0, 2 * math.exp(min(logarithm, 0.0)) / (1 - ratio))


def psi(shares: Shares) -> float:
    """The population stability index; a share counts as no less than that of a fourth of a row."""
    least = noise_of(shares.of_first, shares.of_second) / 4
    pairs = ((max(a, least), max(b, least)) for a, b in shares.pairs())
    return sum((a - b) * math.log(a / b) for a, b in pairs)


def jensen_shannon(shares: Shares) -> float:
    """The Jensen-Shannon distance to base 2, 0 to 1: the root of the divergence."""
    divergence = 0.0
    for a, b in shares.pairs():
        middle = (a + b) / 2
        divergence += sum(part * math.log2(part / middle) for part in (a, b) if part > 0) / 2
    return math.sqrt(min(max(divergence, 0.0), 1.0))
