"""The bounds of drift are what they are said to be, and sketches are read as their library does."""

from __future__ import annotations

import math
from contextlib import suppress

import datasketches
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studbook.column_sketches import QuantileSketch
from studbook.drift_limits import (
    Shares,
    jensen_shannon,
    least_share_change,
    psi,
    share_chance,
    times_chance,
)
from studbook.sketch_ranks import read_ranks


@given(
    of_one=st.integers(1, 60),
    of_other=st.integers(1, 60),
    data=st.data(),
)
def test_the_chance_of_two_shares_is_fishers_from_above(
    of_one: int, of_other: int, data: st.DataObject
) -> None:
    one = data.draw(st.integers(0, of_one))
    other = data.draw(st.integers(0, of_other))
    chance = share_chance(one, of_one, other, of_other)
    assert chance == pytest.approx(share_chance(other, of_other, one, of_one))
    together = one + other

    def weight(count: int) -> int:
        return math.comb(of_one, count) * math.comb(of_other, together - count)

    everything = math.comb(of_one + of_other, together)
    upper = sum(weight(count) for count in range(one, min(of_one, together) + 1)) / everything
    lower = sum(weight(count) for count in range(one + 1) if count <= together) / everything
    assert chance >= min(1.0, 2 * min(upper, lower)) - 1e-9


def test_a_share_of_ten_million_rows_is_precise() -> None:
    million = 10_000_000
    assert share_chance(5_000_000, million, 5_000_000, million) == 1
    assert share_chance(5_000_000, million, 5_010_000, million) < 1e-4
    assert share_chance(5_000_000, million, 5_001_000, million) > 0.5
    assert share_chance(2, 100, 10_000, million) > 0.005


def test_near_nothing_a_smaller_change_of_a_share_matters() -> None:
    assert least_share_change(0, 0.4) == pytest.approx(0.00997, abs=1e-4)
    assert least_share_change(0.99, 1) == least_share_change(0, 0.01)
    assert least_share_change(0.5, 0.6) == 0.05


def test_measures_of_shares_by_hand() -> None:
    shares = Shares([0.5, 0.5], [0.75, 0.25], 10**9, 10**9)
    assert psi(shares) == pytest.approx(0.25 * math.log(1.5) + 0.25 * math.log(2))
    middle = [0.625, 0.375]
    divergence = (
        0.5 * math.log2(0.5 / middle[0])
        + 0.5 * math.log2(0.5 / middle[1])
        + 0.75 * math.log2(0.75 / middle[0])
        + 0.25 * math.log2(0.25 / middle[1])
    ) / 2
    assert jensen_shannon(shares) == pytest.approx(math.sqrt(divergence))
    assert jensen_shannon(Shares([1.0, 0.0], [0.0, 1.0], 5, 5)) == 1


def test_chance_is_exceeded_as_rarely_as_it_is_said() -> None:
    random = np.random.default_rng(1)
    weights = [0.4, 0.3, 0.2, 0.1]
    exceeded = 0
    for _ in range(4000):
        one = (random.multinomial(400, weights) / 400).tolist()
        other = (random.multinomial(1000, weights) / 1000).tolist()
        exceeded += times_chance(Shares(one, other, 400, 1000), 0.01) > 1
    # One in a hundred: 40, give or take four standard deviations.
    assert 15 < exceeded < 66


@pytest.mark.parametrize("size", [8, 32, 88])
@pytest.mark.parametrize("count", [0, 1, 2, 50, 88, 89, 700, 50_000])
def test_ranks_are_those_of_the_library(size: int, count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).round(1)
    sketch = datasketches.kll_doubles_sketch(size)
    sketch.update(values)
    ranks = read_ranks(bytes(sketch.serialize()))
    if not count:
        assert ranks is None
        return
    assert ranks is not None
    assert ranks.count == count
    assert 1 <= ranks.effective <= count
    points = np.linspace(-3, 3, 61)
    library = [sketch.get_rank(float(point), inclusive=True) for point in points]
    assert ranks.at_most(points) == pytest.approx(library)


@given(data=st.data(), count=st.integers(0, 3000))
@settings(max_examples=300)
def test_forged_bytes_are_refused_or_read_and_never_worse(data: st.DataObject, count: int) -> None:
    sketch = QuantileSketch()
    sketch.add(np.random.default_rng(count).normal(size=count))
    forged = bytearray(sketch.serialised())
    for _ in range(data.draw(st.integers(1, 5))):
        forged[data.draw(st.integers(0, len(forged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(forged)))
    for content in (bytes(forged), bytes(forged[:cut])):
        ranks = None
        with suppress(ValueError):
            ranks = read_ranks(content)
        if ranks is not None:
            assert ranks.upto[-1] == 1
            assert (np.diff(ranks.upto) >= 0).all()
