"""The record file: what was written is read, and a torn tail costs only itself."""

from __future__ import annotations

import math
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.record_log import (
    METRICS,
    SHAPE,
    MetricDecoder,
    RecordWriter,
    learn_shapes,
    read_records,
)
from studbook.run_records import DatasetUse, Params, RunEnd, RunStart, Tags, decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

START = RunStart("workspaces/main", "wine", "one", "writer", 1)

int64 = st.integers(-(2**63), 2**63 - 1)
calls = st.lists(
    st.tuples(
        st.dictionaries(st.text(min_size=1, max_size=8), st.floats(), min_size=1, max_size=4),
        int64,
        int64,
    ),
    min_size=1,
    max_size=12,
)
Call = tuple[dict[str, float], int, int]
Read = list[tuple[tuple[str, ...], tuple[float, ...]]]


def write(path: Path, logged: Sequence[Call]) -> list[int]:
    """Write the calls; returns the size of the file after each."""
    writer = RecordWriter(path, *encode(START))
    sizes = []
    for values, step, time_us in logged:
        writer.append_metrics(tuple(values), step, time_us, values.values())
        sizes.append(path.stat().st_size)
    writer.close()
    return sizes


def read_metrics(path: Path) -> Read:
    descriptor = os.open(path, os.O_RDONLY)
    decoder, found = MetricDecoder(), []
    for record in read_records(descriptor):
        if record.kind == SHAPE:
            decoder.learn(record.body)
        elif record.kind == METRICS:
            found.append(decoder.decode(record.body))
    os.close(descriptor)
    return found


def same(found: Read, logged: Sequence[Call]) -> bool:
    """Equal bit by bit, so that NaN is NaN and -0.0 is not 0.0."""
    expected = [(tuple(values), (step, time, *values.values())) for values, step, time in logged]
    return [keys for keys, _ in found] == [keys for keys, _ in expected] and [
        _bits(numbers) for _, numbers in found
    ] == [_bits(numbers) for _, numbers in expected]


def _bits(numbers: tuple[float, ...]) -> tuple[object, ...]:
    step, time, *values = numbers
    return step, time, *(struct.pack("<d", v) if not math.isnan(v) else "nan" for v in values)


@given(calls)
def test_what_was_written_is_read(logged: list[Call]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.records"
        write(path, logged)
        assert same(read_metrics(path), logged)


@given(calls, st.data())
def test_cut_off_anywhere_the_file_keeps_every_whole_record(
    logged: list[Call], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.records"
        sizes = write(path, logged)
        length = data.draw(st.integers(0, sizes[-1]))
        os.truncate(path, length)
        whole = [call for call, size in zip(logged, sizes, strict=True) if size <= length]
        assert same(read_metrics(path), whole)


@given(calls, st.data())
def test_a_changed_byte_is_noticed(logged: list[Call], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.records"
        sizes = write(path, logged)
        begin = 0 if len(sizes) == 1 else sizes[-2]
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(begin, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        assert same(read_metrics(path), logged[: len(read_metrics(path))])
        assert len(read_metrics(path)) < len(logged)


def test_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.records"
    writer = RecordWriter(path, *encode(START))
    writer.append_metrics(("x",), 1, 1, [1.0])
    descriptor = os.open(path, os.O_RDONLY)
    end = [record.end for record in read_records(descriptor)][-1]
    writer.append_metrics(("x",), 2, 2, [2.0])
    (record,) = read_records(descriptor, end)
    decoder = learn_shapes(descriptor, end)
    assert decoder.decode(record.body) == (("x",), (2, 2, 2.0))
    assert list(read_records(descriptor, end, stop=end)) == []
    writer.close()
    os.close(descriptor)


def test_values_that_do_not_fit_leave_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.records"
    writer = RecordWriter(path, *encode(START))
    size = path.stat().st_size
    for step, value in ((0, "high"), (2**63, 1.0), (1.5, 1.0)):
        with pytest.raises((struct.error, TypeError)):
            writer.append_metrics(("x",), step, 0, [value])  # type: ignore[arg-type,list-item]
    assert path.stat().st_size == size
    writer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.append_metrics(("x",), 0, 0, [1.0])


def test_many_shapes_take_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.records"
    logged: list[Call] = [({f"key {n % 5000}": float(n)}, n, n) for n in range(10_000)]
    write(path, logged)
    assert same(read_metrics(path), logged)


@pytest.mark.parametrize(
    "record",
    [
        START,
        Params({"a": 1, "b": 0.5, "c": True, "d": "text", "e": math.inf}),
        Tags({"a": "\N{SNOWMAN}"}),
        DatasetUse("wine", "training", "sha256:0", "file/v1", size_bytes=3),
        RunEnd("KILLED", "SIGTERM", 2),
    ],
)
def test_other_records_come_back_as_they_were(record: RunStart | Params | Tags) -> None:
    assert decode(*encode(record)) == record


def test_ten_numbers_take_little_more_than_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.records"
    keys = {f"metric {n}": 0.5 for n in range(10)}
    sizes = write(path, [(keys, step, step) for step in range(100)])
    assert sizes[-1] - sizes[-2] == 109
