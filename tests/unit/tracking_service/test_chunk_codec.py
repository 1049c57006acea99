"""Points come back from a chunk bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tracking_service.chunk_codec import decode, encode
from tracking_service.records import Points

if TYPE_CHECKING:
    from collections.abc import Callable

INT64 = st.integers(-(2**63), 2**63 - 1)
# Whatever bits there are, NaNs with payloads included.
DOUBLES = st.integers(0, 2**64 - 1).map(lambda bits: np.uint64(bits).view(np.float64))


@st.composite
def points(draw: st.DrawFn) -> Points:
    count = draw(st.sampled_from([1, 2, 99, 100, 101, 300, 4001]))
    bits = draw(hnp.arrays(np.uint64, count, elements=st.integers(0, 2**64 - 1)))
    return Points(
        steps=draw(hnp.arrays(np.int64, count, elements=INT64)),
        times_us=draw(hnp.arrays(np.int64, count, elements=INT64)),
        values=bits.view(np.float64),
    )


@given(points())
def test_every_bit_comes_back(original: Points) -> None:
    copy = decode([encode(original)])

    assert copy.steps.tobytes() == original.steps.tobytes()
    assert copy.times_us.tobytes() == original.times_us.tobytes()
    assert copy.values.tobytes() == original.values.tobytes()


def series(count: int, values: np.ndarray) -> Points:
    steps = np.arange(count, dtype=np.int64)
    return Points(steps, 1_700_000_000_000_000 + steps * 250_000, values)


def test_extreme_steps_and_special_values_come_back() -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    steps = np.array([2**63 - 1, -(2**63), 0, 2**63 - 1, -1], dtype=np.int64)
    original = Points(np.tile(steps, 40), np.tile(steps[::-1], 40), np.tile(values, 40))

    copy = decode([encode(original)])

    np.testing.assert_array_equal(copy.steps, original.steps)
    assert copy.values.tobytes() == original.values.tobytes()


def test_a_constant_takes_less_than_a_byte_a_point() -> None:
    assert len(encode(series(10_000, np.full(10_000, 0.5)))) < 10_000


def test_noise_takes_less_than_nine_bytes_a_point() -> None:
    noise = np.random.default_rng(1).normal(size=10_000)

    assert len(encode(series(10_000, noise))) < 90_000


@pytest.mark.parametrize(
    "curve",
    [
        lambda x: 0.001 * x,
        lambda x: np.sin(x / 1000),
        lambda x: np.exp(-x / 3000),
        lambda x: 1 / (1 + x / 100),
        lambda x: np.repeat(np.random.default_rng(1).normal(size=len(x) // 10), 10),
    ],
    ids=["ramp", "wave", "decay", "hyperbola", "repeated"],
)
def test_smooth_or_repeated_values_take_less_than_three_bytes_a_point(
    curve: Callable[[np.ndarray], np.ndarray],
) -> None:
    original = series(10_000, curve(np.arange(10_000.0)))

    chunk = encode(original)

    assert len(chunk) < 30_000
    assert decode([chunk]).values.tobytes() == original.values.tobytes()


def test_short_chunks_are_stored_plain() -> None:
    assert len(encode(series(3, np.zeros(3)))) == 8 + 3 * 24


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown form 9"):
        decode([b"\x09" + encode(series(3, np.zeros(3)))[1:]])
