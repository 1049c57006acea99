"""Random tables in random layouts: how Arrow keeps the rows is no part of the digest."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sdk.random_columns import arrays
from tests.unit.sdk.table_digest import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    Layout = Callable[[pa.Array, st.DrawFn], pa.Array]

is_type = pa.types


def shifted(array: pa.Array, draw: st.DrawFn) -> pa.Array:
    """The same rows, behind others and before others."""
    first, last = draw(st.integers(0, len(array))), draw(st.integers(0, len(array)))
    whole = pa.concat_arrays([array.slice(first), array, array.slice(0, last)])
    return whole.slice(len(array) - first, len(array))


def with_garbage(array: pa.Array, draw: st.DrawFn) -> pa.Array:
    """Where there is no value, other bytes than before lie below it."""
    buffers = array.buffers()
    if not array.null_count or array.offset or not is_fixed(array.type):
        return array
    values = bytearray(buffers[1].to_pybytes())
    width = array.type.bit_width // 8
    for row, is_valid in enumerate(array.is_valid().to_pylist()):
        if not is_valid:
            values[row * width : row * width + width] = draw(
                st.binary(min_size=width, max_size=width)
            )
    return pa.Array.from_buffers(array.type, len(array), [buffers[0], pa.py_buffer(values)])


def is_fixed(kind: pa.DataType) -> bool:
    return is_type.is_primitive(kind) and not is_type.is_boolean(kind)


def with_a_mask(array: pa.Array, draw: st.DrawFn) -> pa.Array:
    """All rows said to be valid, one by one."""
    if array.null_count or array.offset or not is_fixed(array.type) or not len(array):
        return array
    mask = pa.py_buffer(np.packbits(np.ones(len(array), bool), bitorder="little").tobytes())
    return pa.Array.from_buffers(array.type, len(array), [mask, array.buffers()[1]])


def as_numbers_of_values(array: pa.Array, draw: st.DrawFn) -> pa.Array:
    """A dictionary, which also has values that do not occur."""
    if is_type.is_nested(array.type) or is_type.is_dictionary(array.type) or not len(array):
        return array
    indices = draw(st.permutations(range(len(array))))
    places = [indices.index(row) for row in range(len(array))]
    # Arrow takes no rows out of views.
    permuted = pa.concat_arrays([array.slice(row, 1) for row in indices])
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), permuted)


def as_runs(array: pa.Array, draw: st.DrawFn) -> pa.Array:
    if is_type.is_nested(array.type) or is_type.is_dictionary(array.type) or not len(array):
        return array
    ends = pa.array(range(1, len(array) + 1), draw(st.sampled_from([pa.int16(), pa.int64()])))
    return pa.RunEndEncodedArray.from_arrays(ends, array)


def in_another_type(array: pa.Array, draw: st.DrawFn) -> pa.Array:
    """A type that differs in how values are kept."""
    kind = array.type
    others: list[pa.DataType] = [kind]
    if is_type.is_string(kind):
        others += [pa.large_string(), pa.string_view()]
    if is_type.is_binary(kind):
        others += [pa.large_binary(), pa.binary_view()]
    if is_type.is_list(kind):
        others += [pa.large_list(kind.value_type), pa.list_view(kind.value_type)]
    if is_type.is_timestamp(kind):
        others += [pa.timestamp("ns", kind.tz)]
    if is_type.is_time(kind):
        others += [pa.time64("ns")]
    if is_type.is_duration(kind):
        others += [pa.duration("ns")]
    if is_type.is_date(kind):
        others += [pa.date64()]
    if is_type.is_decimal(kind):
        others += [pa.decimal128(30, 7), pa.decimal256(40, 3)]
    chosen = draw(st.sampled_from(others))
    return as_list_view(array) if is_type.is_list_view(chosen) else array.cast(chosen)


def as_list_view(array: pa.ListArray) -> pa.ListViewArray:
    """The same lists, which Arrow does not cast to views."""
    offsets = np.asarray(array.offsets)
    return pa.ListViewArray.from_arrays(
        pa.array(offsets[:-1]), pa.array(np.diff(offsets)), array.values, mask=array.is_null()
    )


LAYOUTS: list[Layout] = [
    shifted,
    with_garbage,
    with_a_mask,
    in_another_type,
    as_numbers_of_values,
    as_runs,
]


@st.composite
def layouts(draw: st.DrawFn, array: pa.Array) -> pa.Array:
    for change in draw(st.lists(st.sampled_from(LAYOUTS), max_size=2, unique=True)):
        if is_type.is_run_end_encoded(array.type) and change is not shifted:
            continue
        array = change(array, draw)
    return array


@st.composite
def cut(draw: st.DrawFn, array: pa.Array) -> list[pa.Array]:
    edges = sorted({0, len(array), *draw(st.lists(st.integers(0, len(array)), max_size=3))})
    return [array.slice(a, b - a) for a, b in itertools.pairwise(edges)]


@given(arrays(), st.data())
def test_the_layout_of_a_column_does_not_count(array: pa.Array, data: st.DataObject) -> None:
    whole = digest({"c": array})
    other = data.draw(layouts(array))

    assert digest({"c": other}) == whole
    pieces = data.draw(cut(other))
    chunks = pa.chunked_array(pieces, other.type)
    assert digest({"c": chunks}) == whole
    table = pa.table({"c": chunks})
    assert digest(table) == digest(table.to_reader(max_chunksize=2)) == whole


@given(arrays(), st.data())
def test_any_other_cell_makes_another_digest(array: pa.Array, data: st.DataObject) -> None:
    rows = array.to_pylist()
    if not rows:
        return
    place = data.draw(st.integers(0, len(rows) - 1))
    changed = array.take(
        pa.array([None if row == place else row for row in range(len(rows))], pa.int64())
    )
    assert (digest({"c": changed}) == digest({"c": array})) == (rows[place] is None)


@given(arrays(), st.integers(1, 4))
def test_a_file_of_parquet_keeps_the_digest(array: pa.Array, group: int) -> None:
    file = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.table({"c": array}), file, row_group_size=group)
    read = pyarrow.parquet.read_table(pa.BufferReader(file.getvalue()))

    # Parquet writes down no duration, and widens some types of time.
    assert digest(read.cast(pa.schema([("c", array.type)]))) == digest({"c": array})
