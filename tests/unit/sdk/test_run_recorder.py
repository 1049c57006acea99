"""What `log()` writes of a call does not depend on whether it has seen such a call before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from studbook.record_folder import RunFolder
from studbook.record_log import METRICS, SHAPE, MetricDecoder, RecordWriter, read_records
from studbook.run_recorder import RunRecorder
from studbook.run_records import RunStart, encode

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

Call = tuple[int, dict[str, float]]


class Scalar:
    """A number of a library: one that has to be asked for it."""

    def __init__(self, number: float) -> None:
        self._number = number

    def item(self) -> float:
        return self._number

    def __float__(self) -> float:
        message = "a tensor that takes part in training remarks on this"
        raise AssertionError(message)

    def __repr__(self) -> str:
        return f"Scalar({self._number})"


numbers = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.floats(allow_nan=False).map(Scalar),
    st.just(10**400),
    st.just("no number"),
)
keys = st.one_of(st.sampled_from(["a", "b", "a/b"]), st.text(max_size=3))
calls = st.dictionaries(
    keys, st.recursive(numbers, lambda inner: st.dictionaries(keys, inner, max_size=3)), max_size=4
)


def written(path: Path) -> list[Call]:
    """The calls in a record file."""
    decoder = MetricDecoder()
    found: list[Call] = []
    with path.open("rb") as file:
        for record in read_records(file.fileno()):
            if record.kind == SHAPE:
                decoder.learn(record.body)
            elif record.kind == METRICS:
                names, (step, _time, *values) = decoder.decode(record.body)
                found.append((int(step), dict(zip(names, values, strict=True))))
    return found


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """What ought to be written of a call."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{key}/")
        elif value not in ("no number", 10**400) and is_good(prefix + key):
            found[prefix + key] = float(value.item() if isinstance(value, Scalar) else value)
    return found


def is_good(key: str) -> bool:
    return 0 < len(key) <= 256 and not any(
        ord(letter) < 32 or 127 <= ord(letter) < 160 or letter in "\u2028\u2029" for letter in key
    )


def recorder(path: Path) -> RunRecorder:
    start = RunStart("workspaces/main", "wine", "one", path.name, 1)
    return RunRecorder(start, RunFolder(path.parent), RecordWriter(path, *encode(start)))


@given(st.lists(calls, max_size=4))
def test_a_call_is_written_the_same_each_time(
    tmp_path_factory: pytest.TempPathFactory, logged: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("records") / "file"
    run = recorder(path)
    for step, values in enumerate(logged * 3):
        run.log(values, step)
    expected = [(step, leaves(values)) for step, values in enumerate(logged * 3)]
    assert written(path) == [(step, found) for step, found in expected if found]


def test_the_same_names_may_get_other_kinds_of_values(tmp_path: Path) -> None:
    run = recorder(tmp_path / "file")
    for value in (1, Scalar(2), 3.5, math.inf, "no number", Scalar(4), {"a": 5}, 6):
        run.log({"x": value})
    assert written(tmp_path / "file") == [
        (0, {"x": 1.0}),
        (1, {"x": 2.0}),
        (2, {"x": 3.5}),
        (3, {"x": math.inf}),
        (5, {"x": 4.0}),
        (6, {"x/a": 5.0}),
        (7, {"x": 6.0}),
    ]
