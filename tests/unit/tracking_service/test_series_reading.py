"""A series read in portions is the series."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracking_service.chunk_codec import as_chunk
from tracking_service.records import ChunkPlace, ChunkRecord, Points, Window
from tracking_service.series_reading import end_of_portion, in_order, joined

STEPS = st.lists(st.lists(st.integers(-20, 20), min_size=1, max_size=8), min_size=1, max_size=12)
BOUND = st.none() | st.integers(-25, 25)


def chunks_of(steps: list[list[int]]) -> list[ChunkRecord]:
    """Chunks whose values number the points in order of arrival, and whose times do backwards."""
    arrival = 0
    chunks = []
    for some in steps:
        numbers = np.arange(arrival, arrival + len(some))
        chunks.append(as_chunk(Points(np.array(some), 10_000 - numbers, numbers.astype(float))))
        arrival += len(some)
    return chunks


def reaching(chunks: list[ChunkRecord], window: Window) -> list[tuple[int, ChunkRecord]]:
    return [
        (number, chunk)
        for number, chunk in enumerate(chunks)
        if (window.min_step is None or chunk.max_step >= window.min_step)
        and (window.max_step is None or chunk.min_step <= window.max_step)
    ]


def in_portions(chunks: list[ChunkRecord], window: Window, points: int) -> list[Points]:
    portions = []
    left: Window | None = window
    while left is not None:
        places = [
            ChunkPlace(number, chunk.points, chunk.min_step, chunk.max_step)
            for number, chunk in reaching(chunks, left)
        ]
        end = end_of_portion(places, points)
        first, left = (left, None) if end is None else left.split(end)
        portions.append(in_order([chunk.data for _, chunk in reaching(chunks, first)], first))
    return portions


@given(STEPS, BOUND, BOUND, st.integers(1, 40))
def test_portions_make_up_the_window(
    steps: list[list[int]], min_step: int | None, max_step: int | None, points: int
) -> None:
    window = Window(min_step=min_step, max_step=max_step)
    arrived = list(enumerate(step for some in steps for step in some))
    expected = sorted(
        (
            (step, number)
            for number, step in arrived
            if (min_step is None or step >= min_step) and (max_step is None or step <= max_step)
        ),
    )

    portions = in_portions(chunks_of(steps), window, points)
    read = joined(portions)

    assert list(zip(read.steps.tolist(), read.values.tolist(), strict=True)) == expected
    # No portion but the last is smaller than it has to be, unless the window cuts its chunks.
    if window.is_whole:
        assert all(len(portion) >= points for portion in portions[:-1])


@given(STEPS, BOUND, BOUND)
def test_a_window_of_time_keeps_what_was_taken_within(
    steps: list[list[int]], earliest: int | None, latest: int | None
) -> None:
    window = Window(
        min_time_us=None if earliest is None else 9_975 + earliest,
        max_time_us=None if latest is None else 9_975 + latest,
    )

    times = in_order([chunk.data for chunk in chunks_of(steps)], window).times_us.tolist()

    every = [10_000 - number for number in range(sum(map(len, steps)))]
    assert sorted(times) == sorted(
        time
        for time in every
        if (window.min_time_us is None or time >= window.min_time_us)
        and (window.max_time_us is None or time <= window.max_time_us)
    )


def test_nothing_in_a_window_is_an_empty_series() -> None:
    assert len(in_order([], Window(min_step=1))) == 0
    assert end_of_portion([]) is None
