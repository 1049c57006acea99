"""What was certainly not among the values of a column is read as the sketches' library wrote it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studbook.column_sketches import DistinctSketch
from studbook.sketch_values import read_values


def sketch_of(values: list[str]) -> bytes:
    sketch = DistinctSketch()
    sketch.add_texts(values)
    return sketch.result()[1]


@pytest.mark.parametrize(
    ("count", "least_told"), [(0, 1000), (5, 1000), (150, 1000), (300, 850), (2000, 500)]
)
def test_no_value_is_denied_and_many_others_are(count: int, least_told: int) -> None:
    values = [f"wine {number} {'é' * (number % 40)}" for number in range(count)]
    seen = read_values(sketch_of(values))
    assert not any(map(seen.surely_lacks, values))
    others = [f"beer {number}" for number in range(1000)]
    assert sum(map(seen.surely_lacks, others)) >= least_told


@given(values=st.lists(st.text(), max_size=50), other=st.text())
def test_few_values_are_remembered_one_by_one(values: list[str], other: str) -> None:
    plain = [value for value in values if value.isprintable() or not value]
    seen = read_values(sketch_of(plain))
    assert not any(map(seen.surely_lacks, plain))
    if other.isprintable() and other and other not in plain:
        assert seen.surely_lacks(other)


@given(data=st.data(), count=st.sampled_from([0, 3, 100, 1000]))
@settings(max_examples=200)
def test_forged_bytes_are_refused_or_read_and_never_worse(data: st.DataObject, count: int) -> None:
    forged = bytearray(sketch_of([str(number) for number in range(count)]))
    for _ in range(data.draw(st.integers(1, 5))):
        forged[data.draw(st.integers(0, min(len(forged), 60) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(forged)))
    for content in (bytes(forged), bytes(forged[:cut])):
        with suppress(ValueError):
            read_values(content).surely_lacks("wine")
