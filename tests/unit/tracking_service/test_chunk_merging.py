"""Merging leaves few chunks, writes points anew rarely, and changes none."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracking_service.chunk_codec import as_chunk, decode, encode
from tracking_service.chunk_merging import FULL_POINTS, merge, stretches
from tracking_service.records import Points

SIZES = st.integers(1, 2 * FULL_POINTS) | st.integers(1, 50)


@given(st.lists(SIZES, max_size=200))
def test_stretches_are_in_order_apart_and_not_too_large(sizes: list[int]) -> None:
    end = 0
    for stretch in stretches(sizes):
        assert stretch.start >= end
        assert len(stretch) > 1
        assert sum(sizes[place] for place in stretch) <= FULL_POINTS
        end = stretch.stop
    assert end <= len(sizes)


def after_merging(sizes: list[int]) -> tuple[list[int], int]:
    """The sizes after merging, and how many points were written anew."""
    written = 0
    for stretch in reversed(stretches(sizes)):
        points = sum(sizes[stretch.start : stretch.stop])
        sizes = [*sizes[: stretch.start], points, *sizes[stretch.stop :]]
        written += points
    return sizes, written


@given(st.integers(1, 2000), st.integers(100, 1500))
def test_a_series_that_grows_keeps_few_chunks(batch: int, batches: int) -> None:
    sizes: list[int] = []
    written = 0
    for number in range(batches):
        sizes.append(batch)
        if number % 16 == 15:
            sizes, more = after_merging(sizes)
            written += more
    points = batch * batches

    assert sum(sizes) == points
    full = points / (FULL_POINTS / 2)
    assert len(sizes) <= full + math.log2(points) + 32
    # Each point once for each time its chunk grows by half, until it is full.
    assert written <= points * (4 + math.log(FULL_POINTS, 1.5))


def test_two_chunks_become_one_with_the_same_points_in_the_same_order() -> None:
    rng = np.random.default_rng(3)
    parts = [
        Points(rng.integers(-9, 9, n), rng.integers(0, 10**15, n), rng.normal(size=n))
        for n in (3, 500, 1)
    ]

    merged = merge([encode(part) for part in parts])
    points = decode([merged.data])

    for column in ("steps", "times_us", "values"):
        joined = np.concatenate([getattr(part, column) for part in parts])
        np.testing.assert_array_equal(getattr(points, column), joined)
    assert merged == as_chunk(points)
