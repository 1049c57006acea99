"""The same table has the same digest in whichever library it is, and however it is cut up."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.datasets import describe_dataset
from tests.unit.sdk.table_digest import digest

if TYPE_CHECKING:
    from collections.abc import Callable


_MICROSECONDS = st.integers(-(10**15), 10**15)
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Arrow takes times without a zone so

# Types that pandas, Polars and Arrow agree on, each with values for it.
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "i8": (pa.int8(), st.integers(-128, 127)),
    "u64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "i64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "f32": (pa.float32(), st.floats(width=32)),
    "f64": (pa.float64(), st.floats()),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=6)),
    "large": (pa.large_string(), st.text(max_size=6)),
    "bytes": (pa.binary(), st.binary(max_size=6)),
    "date": (pa.date32(), st.dates(dt.date(1700, 1, 1))),
    "time": (pa.time64("us"), st.times()),
    "moment": (
        pa.timestamp("us"),
        _MICROSECONDS.map(lambda us: _EPOCH + dt.timedelta(microseconds=us)),
    ),
    "zoned": (
        pa.timestamp("us", tz="Europe/Berlin"),
        _MICROSECONDS.map(lambda us: _EPOCH + dt.timedelta(microseconds=us)),
    ),
    "span": (pa.duration("us"), _MICROSECONDS.map(lambda us: dt.timedelta(microseconds=us))),
    "money": (
        pa.decimal128(12, 3),
        st.integers(-(10**11), 10**11).map(lambda n: decimal.Decimal(n).scaleb(-3)),
    ),
    "kinds": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["red", "white", ""])),
    "list": (pa.list_(pa.int64()), st.lists(st.none() | st.integers(-9, 9), max_size=3)),
    "struct": (
        pa.struct([("x", pa.int64()), ("y", pa.string())]),
        st.fixed_dictionaries({"x": st.none() | st.integers(-9, 9), "y": st.text(max_size=2)}),
    ),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(0, 20))
    columns = {}
    for kind in kinds:
        arrow, values = TYPES[kind]
        cells = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[kind] = pa.array(cells, arrow)
    return pa.table(columns)


@given(tables(), st.lists(st.integers(0, 20), max_size=6))
def test_chunks_do_not_count(table: pa.Table, cuts: list[int]) -> None:
    edges = sorted({0, table.num_rows, *(min(cut, table.num_rows) for cut in cuts)})
    pieces = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    cut = pa.concat_tables(pieces) if pieces else table
    whole = digest(table)

    assert digest(cut) == whole
    assert digest(cut.to_reader(max_chunksize=3)) == whole
    assert digest(pa.RecordBatchReader.from_batches(cut.schema, cut.to_batches())) == whole
    assert digest({name: cut[name] for name in cut.column_names}) == whole


@given(tables())
def test_polars_and_pandas_agree_with_arrow(table: pa.Table) -> None:
    whole = digest(table)
    frame = pl.from_arrow(table)

    assert isinstance(frame, pl.DataFrame)
    assert digest(frame) == whole
    assert digest(frame.lazy()) == whole
    assert digest({name: frame[name] for name in frame.columns}) == whole
    assert digest(table.to_pandas(types_mapper=pd.ArrowDtype)) == whole


@given(tables())
def test_parquet_and_its_row_groups_do_not_count(table: pa.Table) -> None:
    file = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, file, row_group_size=3)
    read = pyarrow.parquet.read_table(pa.BufferReader(file.getvalue()))

    assert digest(read.cast(table.schema)) == digest(table)


@given(st.lists(st.none() | st.text(max_size=4), min_size=1, max_size=20))
def test_texts_are_the_same_in_every_library(texts: list[str | None]) -> None:
    arrow = pa.table({"t": pa.array(texts, pa.string())})
    same: list[Any] = [
        pa.table({"t": pa.array(texts, pa.large_string())}),
        pa.table({"t": pa.array(texts, pa.string_view())}),
        pa.table({"t": pa.array(texts, pa.string()).dictionary_encode()}),
        pa.table({"t": pa.array(texts, pa.dictionary(pa.int8(), pa.large_string()))}),
        pl.DataFrame({"t": pl.Series(texts, dtype=pl.String)}),
        pl.DataFrame({"t": pl.Series(texts, dtype=pl.Categorical)}),
        pd.DataFrame({"t": pd.array(texts, dtype="string")}),
        pd.DataFrame({"t": pd.array(texts, dtype=pd.StringDtype("python"))}),
        datasets.Dataset.from_dict({"t": texts}, features=datasets.Features(t=_TEXT)),
    ]
    if any(text is not None for text in texts):
        same += [
            {"t": np.array(texts, dtype=object)},
            pd.DataFrame({"t": pd.Categorical(texts)}),
        ]
    assert {digest(table) for table in same} == {digest(arrow)}


_TEXT = datasets.Value("string")


def labelled(*names: str) -> datasets.Dataset:
    features = datasets.Features(label=datasets.ClassLabel(names=list(names)))
    return datasets.Dataset.from_dict({"label": [0, 1]}, features=features)


def test_the_names_of_class_labels_count() -> None:
    named = labelled("cat", "dog")

    assert digest(named) == digest(labelled("cat", "dog"))
    assert digest(named) != digest(labelled("dog", "cat"))
    assert digest(named) != digest({"label": np.array([0, 1])})
    (column,) = describe_dataset(named, name="pets").columns
    assert column.type == 'class_label[names=["cat", "dog"]]'
    assert column.profile


def test_the_names_of_class_labels_within_lists_count() -> None:
    def boxes(*names: str) -> datasets.Dataset:
        label = datasets.ClassLabel(names=list(names))
        features = datasets.Features(
            objects=[{"label": label, "size": datasets.Value("int64")}],
            tags=datasets.Sequence(label),
        )
        rows = {"objects": [[{"label": 0, "size": 3}]], "tags": [[1, 0]]}
        return datasets.Dataset.from_dict(rows, features=features)

    assert digest(boxes("cat", "dog")) == digest(boxes("cat", "dog"))
    assert digest(boxes("cat", "dog")) != digest(boxes("dog", "cat"))
    types = [column.type for column in describe_dataset(boxes("a", "b"), name="pets").columns]
    assert types == [
        'list<struct<label: class_label[names=["a", "b"]], size: int64>>',
        'list<class_label[names=["a", "b"]]>',
    ]


@given(st.lists(st.floats(), max_size=20))
def test_numbers_are_the_same_in_every_library(numbers: list[float]) -> None:
    array = np.array(numbers, dtype=float)
    same: list[Any] = [
        {"x": array},
        pd.DataFrame({"x": array}),
        pl.DataFrame({"x": array}),
        pa.table({"x": array}),
        {"x": pl.Series(array)},
        {"x": pd.Series(array)},
        datasets.Dataset(pa.table({"x": array})),
    ]
    assert len({digest(table) for table in same}) == 1


@pytest.mark.parametrize("cut", [(0, 3), (1, 3), (1, 2), (3, 3)])
@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1, 2], None, [3]], pa.list_(pa.int64())),
        pa.array([[1, 2], None, [3]], pa.large_list(pa.int64())),
        pa.array([[1, 2], None, [3]], pa.list_view(pa.int64())),
        pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
        pa.array([[("k", 1)], None, [("l", None)]], pa.map_(pa.string(), pa.int64())),
        pa.array([b"ab", None, b"cd"], pa.binary(2)),
        pa.array([True, None, False]),
        pa.array(["a", None, "bc"]),
        pa.array(["a", None, "bc"], pa.string_view()),
        pa.array([1, 1, None], pa.int64()),
        pa.array([{"a": 1}, None, {"a": None}]),
        pa.array([decimal.Decimal("1.5"), None, decimal.Decimal(2)]),
        pa.array([dt.date(2026, 3, 3), None, dt.date(1960, 1, 1)], pa.date64()),
        pa.array([dt.time(1, 2), None, dt.time(3)], pa.time32("s")),
        pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([7, None])),
        pa.nulls(3),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_slice_counts_as_the_rows_it_shows(array: pa.Array, cut: tuple[int, int]) -> None:
    part = array.slice(cut[0], cut[1] - cut[0])
    kind = pa.int64() if pa.types.is_run_end_encoded(array.type) else array.type

    assert digest(pa.table({"c": part})) == digest(
        pa.table({"c": pa.array(part.to_pylist(), kind)})
    )


def test_how_values_are_stored_does_not_count() -> None:
    def same(*arrays: pa.Array) -> bool:
        return len({digest(pa.table({"c": array})) for array in arrays}) == 1

    money = [decimal.Decimal("1.50"), decimal.Decimal(-200), None]
    days = [dt.date(2026, 3, 3), None]
    pairs = [[1, 2], None]

    assert same(pa.array(money, pa.decimal128(9, 2)), pa.array(money, pa.decimal256(40, 9)))
    assert same(pa.array(days, pa.date32()), pa.array(days, pa.date64()))
    assert same(
        pa.array(pairs, pa.list_(pa.int64())),
        pa.array(pairs, pa.large_list(pa.int64())),
        pa.array(pairs, pa.list_(pa.int64(), 2)),
    )
    assert same(pa.array([1, 1, 2]), pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([1, 2])))
    times = [dt.time(1, 2, 3), None]
    assert same(pa.array(times, pa.time32("s")), pa.array(times, pa.time64("ns")))
    # What lies below a missing value is nobody's business.
    hidden = pa.Array.from_buffers(
        pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.array([5, 99]).buffers()[1]]
    )
    assert same(hidden, pa.array([5, None]))


def test_nested_values_that_differ_have_other_digests() -> None:
    integers = pa.list_(pa.int64())
    arrays = [
        pa.array([[1, 2], [3]], integers),
        pa.array([[1], [2, 3]], integers),
        pa.array([[1, 2, 3], []], integers),
        pa.array([[1, 2, 3], None], integers),
        pa.array([[1, 2, 3], [None]], integers),
        pa.array([[1, 2], [3]], pa.list_(pa.int32())),
        pa.array([{"a": 1, "b": 2}, None]),
        pa.array([{"a": 1, "b": 2}, {"a": None, "b": None}]),
        pa.array([{"b": 1, "a": 2}, None]),
        pa.array([{"a": {"b": 2}}, None]),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    ]
    assert len({digest(pa.table({"c": array})) for array in arrays}) == len(arrays)


def test_the_form_of_nested_values_is_the_documented_one() -> None:
    import hashlib  # noqa: PLC0415 - for this test alone

    def u64(number: int) -> bytes:
        return number.to_bytes(8, "little")

    def block(name: bytes, kind: bytes, *streams: bytes) -> bytes:
        hashed = b"".join(hashlib.sha256(stream).digest() for stream in streams)
        return u64(len(name)) + name + u64(len(kind)) + kind + hashed

    items = block(b"", b"int16", b"\x07", b"", b"\x01\x00\x02\x00\x03\x00")
    lists = block(b"l", b"list", b"\x05", u64(2) + u64(0) + u64(1), items)
    field = block(b"x", b"string", b"\x01", u64(1) + u64(0) + u64(0), b"q")
    structs = block(b"s", b"struct", b"\x05", b"", field)
    money = block(b"m", b"decimal", b"\x07", u64(3) + u64(1) + u64(4), b"1.50-200")
    whole = b"studbook table/v1\n" + u64(3) + u64(3) + lists + structs + money

    table = pa.table(
        {
            "l": pa.array([[1, 2], None, [3]], pa.list_(pa.int16())),
            "s": pa.array([{"x": "q"}, None, {"x": None}]),
            "m": pa.array([decimal.Decimal(n) for n in ("1.50", "-0.00", "-200")]),
        }
    )
    assert digest(table) == "sha256:" + hashlib.sha256(whole).hexdigest()


def test_tables_without_rows_or_columns() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.list_(pa.string()))])
    empty = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.list_(pa.string()))})

    assert digest(pa.RecordBatchReader.from_batches(schema, [])) == digest(empty)
    assert digest(pl.DataFrame(schema={"a": pl.Int64, "b": pl.List(pl.String)})) == digest(empty)
    assert digest(pa.table({})) == digest(pd.DataFrame()) == digest({}) != digest(empty)


def test_duplicate_names_are_two_columns() -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])

    assert digest(twice) == digest(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert digest(twice) != digest(pa.table([pa.array([2]), pa.array([1])], names=["a", "a"]))


def test_a_million_rows_in_many_chunks() -> None:
    numbers = np.arange(1_000_000)
    texts = pa.array(numbers % 1000).cast(pa.string())
    whole = pa.table({"n": numbers, "t": texts})
    cut = pa.concat_tables([whole.slice(first, 999) for first in range(0, 1_000_000, 999)])

    assert cut["n"].num_chunks > 1000
    assert digest(cut) == digest(whole) == digest(whole.to_pandas())


def test_tensors_with_holes_are_refused() -> None:
    holes = pa.FixedSizeListArray.from_arrays(pa.array([1.0, None]), 2)
    kind = pa.fixed_shape_tensor(pa.float64(), (2,))

    with pytest.raises(TypeError, match='"t" has no canonical form'):
        digest({"t": pa.ExtensionArray.from_storage(kind, holes)})


def test_dates_of_arrow_that_are_no_whole_days_are_refused() -> None:
    for milliseconds in (5 * 86_400_000 + 7, (2**32 + 5) * 86_400_000):
        days = pa.array([milliseconds], pa.int64()).view(pa.date64())
        with pytest.raises(TypeError, match='"d" has no canonical form'):
            digest(pa.table({"d": days}))


def test_rows_count_where_there_are_no_columns() -> None:
    bare = pa.table({"a": [1, 2, 3]}).select([])

    assert describe_dataset(bare, name="data").row_count == 3
    assert digest(bare) == digest(bare.to_reader()) == digest(np.zeros((3, 0)))
    assert digest(bare) == digest(pl.DataFrame(height=3))


def test_tensors_of_arrow_are_those_of_numpy() -> None:
    array = np.arange(24.0).reshape(4, 3, 2)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(array)

    assert digest(pa.table({"0": tensors})) == digest(array)
    assert digest(pa.table({"0": tensors.slice(1)})) == digest(array[1:])
    nothing = pa.array([[], []], pa.list_(pa.float64(), 0))
    empty = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float64(), [0, 3]), nothing)
    assert digest(pa.table({"0": empty})) == digest(np.zeros((2, 0, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: pa.table(
            {"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}
        ),
        lambda: pa.table({"i": pa.array([pa.MonthDayNano([1, 2, 3])])}),
        lambda: pa.table({"l": pa.array([[pa.MonthDayNano([1, 2, 3])]])}),
        lambda: pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}),
        lambda: pl.DataFrame({"o": pl.Series([1], dtype=pl.Int128)}),
        lambda: pl.DataFrame({"o": [1]}).group_by("o"),
        lambda: pl.DataFrame({"n": [[None], [None, None]]}),
        # What Polars hands to Arrow of it are addresses in memory.
        lambda: {"o": pl.Series([object()], dtype=pl.Object)},
        lambda: {"o": pl.Series([1], dtype=pl.Int128)},
        lambda: pa.schema([]),
        lambda: pd.DataFrame({"l": [[1], [2]]}),
        lambda: pd.DataFrame({"d": [{"a": 1}]}),
        lambda: {"t": np.array([dt.time(1, tzinfo=dt.UTC)], dtype=object)},
    ],
)
def test_what_has_no_canonical_form_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        digest(make())


def test_pandas_objects_of_other_types_than_arrow_infers() -> None:
    money = [decimal.Decimal("1.50"), None]
    times = [dt.time(1, 2, 3), None]

    assert digest(pd.DataFrame({"c": money})) == digest(pa.table({"c": money}))
    assert digest(pd.DataFrame({"c": times})) == digest(pa.table({"c": times}))
    # Documented: NaN is a number to NumPy and pandas, and no value once Arrow has converted it.
    numbers = pd.DataFrame({"c": [1.0, float("nan")]})
    assert digest(numbers) != digest(pa.Table.from_pandas(numbers))
    assert digest(numbers) == digest(pa.table({"c": numbers["c"].to_numpy()}))
    # Without any value there is nothing to tell the type of objects by.
    nothing = pd.DataFrame({"c": np.array([None, None], dtype=object)})
    assert digest(nothing) == digest(pa.table({"c": pa.nulls(2)}))
