"""Digests of datasets: the same for the same content, another for any other."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.dataset_progress import Progress
from studbook.dataset_reading import read_table
from studbook.dataset_tables import Batch, Chunk, ColumnType, Fixed, Table, Variable
from studbook.datasets import describe_dataset
from studbook.exceptions import InvalidArgument, NotFound
from studbook.run_records import Column

if TYPE_CHECKING:
    from pathlib import Path


def digest(data: Any) -> str:
    return describe_dataset(data, name="data").digest


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": [1, 2, 3],
            "real": [0.5, float("nan"), -0.0],
            "text": ["a", None, "\N{SNOWMAN}"],
            "yes": [True, False, True],
            "kind": pd.Categorical(["x", "y", "x"]),
            "maybe": pd.array([1, None, 3], dtype="Int16"),
            "at": pd.to_datetime(["2026-03-03T14:05:00.25", None, "1969-12-31T23:59:59.75"]),
        }
    )


# The definition in docs/reference/dataset-digests.md, written out once more.
def by_hand(columns: list[tuple[str, str, bytes, bytes, bytes]], rows: int) -> str:
    def u64(number: int) -> bytes:
        return number.to_bytes(8, "little")

    data = b"studbook table/v1\n" + u64(len(columns)) + u64(rows)
    for name, type_name, *streams in columns:
        data += u64(len(name)) + name.encode() + u64(len(type_name)) + type_name.encode()
        data += b"".join(hashlib.sha256(stream).digest() for stream in streams)
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_the_form_is_the_documented_one() -> None:
    table = pd.DataFrame(
        {
            "n": np.array([1, -2], dtype="int16"),
            "t": ["ab", None],
            "f": np.array([np.nan, 1.0], dtype="float32"),
            "at": pd.to_datetime(["1970-01-01T00:00:01.5", "1969-12-31T23:59:59.75"]),
        }
    )
    at = b"\x01" + bytes(7) + (500_000_000).to_bytes(4, "little")
    at += b"\xff" * 8 + (750_000_000).to_bytes(4, "little")
    assert digest(table) == by_hand(
        [
            ("n", "int16", b"\x03", b"", b"\x01\x00\xfe\xff"),
            ("t", "string", b"\x01", (2).to_bytes(8, "little") + bytes(8), b"ab"),
            ("f", "float", b"\x03", b"", b"\x00\x00\xc0\x7f" + b"\x00\x00\x80\x3f"),
            ("at", "timestamp", b"\x03", b"", at),
        ],
        2,
    )


def test_a_known_digest_stays() -> None:
    # What is recorded in lineages must not change with a version of NumPy, pandas or Studbook.
    assert (
        digest(frame()) == "sha256:d6fec90fae39135b38593949e9446563d27622673d27627fd98a13ed0eb26c0c"
    )


def test_the_schema_says_what_was_seen() -> None:
    seen = describe_dataset(frame(), name="wine", role="test", source="s3://k:v@bucket/x")
    assert [replace(column, profile="") for column in seen.columns] == [
        Column("whole", "int64", 0),
        Column("real", "double", 1),
        Column("text", "string", 1),
        Column("yes", "bool", 0),
        Column("kind", "string", 0),
        Column("maybe", "int16", 1),
        Column("at", f"timestamp[{frame()['at'].dt.unit}]", 1),
    ]
    assert (seen.row_count, seen.format, seen.source) == (3, "table/v1", "s3://bucket/x")


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", list(frame().columns))
def test_any_other_cell_makes_another_digest(column: str, row: int) -> None:
    others = {
        "whole": 7,
        "real": 7.0,
        "text": "A",
        "yes": row == 1,
        "kind": "y" if row != 1 else "x",
        "maybe": 7,
        "at": pd.Timestamp("2026-03-03"),
    }
    table = frame()
    table.loc[row, column] = others[column]
    assert digest(table) != digest(frame())


def test_names_types_order_and_shape_count() -> None:
    base = {"a": [1, 2], "b": [3, 4]}
    tables: list[Any] = [
        pd.DataFrame(base),
        pd.DataFrame(base)[["b", "a"]],
        pd.DataFrame(base)[::-1].reset_index(drop=True),
        pd.DataFrame(base).rename(columns={"a": "c"}),
        pd.DataFrame(base).astype({"a": "int32"}),
        pd.DataFrame(base).astype({"a": "float64"}),
        pd.DataFrame(base).astype({"a": str}),
        pd.DataFrame(base)[["a"]],
        pd.DataFrame(base)[:1],
        pd.DataFrame(base, index=["x", "y"]),
        pd.DataFrame(base, index=pd.Index(["x", "y"], name="id")),
        pd.DataFrame({"a": [1, 2], "b": pd.array([3, None], dtype="Int64")}),
        pd.DataFrame({"a": [1, 2], "b": [0.0, 4.0]}),
        pd.DataFrame({"a": [1, 2], "b": [-0.0, 4.0]}),
        {"a": ["ab", "c"]},
        {"a": ["a", "bc"]},
        {"a": ["abc", ""]},
        {"a": np.array(["abc", None], dtype=object)},
        {"a": np.array([b"abc", b""], dtype=object)},
        np.zeros((4, 2, 3)),
        np.zeros((4, 3, 2)),
        np.zeros((4, 6)),
    ]
    assert len({digest(table) for table in tables}) == len(tables)


def test_the_same_content_has_the_same_digest_however_it_is_stored() -> None:
    whole = digest({"a": [1, 2, 3]})
    assert digest(pd.DataFrame({"a": [1, 2, 3]})) == whole
    assert (
        digest(pd.concat([pd.DataFrame({"a": [n]}) for n in (1, 2, 3)], ignore_index=True)) == whole
    )
    assert digest({"a": np.array([1, 2, 3], dtype=">i8")}) == whole
    assert digest({"a": np.arange(1, 7)[::2] // 2 + 1}) == whole
    assert digest({"a": np.array([1, 2, 3], dtype=object)}) == whole
    assert digest(pd.DataFrame({"a": pd.array([1, 2, 3], dtype="Int64")})) == whole
    assert digest(np.array([(1,), (2,), (3,)], dtype=[("a", "i8")])) == whole
    text = digest({"a": ["x", "y"]})
    assert digest(pd.DataFrame({"a": pd.Categorical(["x", "y"])})) == text
    assert (
        digest(pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=["z", "y", "x"])})) == text
    )
    assert digest(pd.DataFrame({"a": pd.array(["x", "y"], dtype="string")})) == text
    assert digest(pd.DataFrame({"a": np.array(["x", "y"], dtype=object)})) == text
    array = np.arange(12.0).reshape(4, 3)
    assert digest(array) == digest(np.asfortranarray(array))
    assert digest(array) == digest(pd.DataFrame(array))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_times_does_not_count(unit: str) -> None:
    times = pd.to_datetime(["2026-03-03T14:05:00", None, "1901-01-01T00:00:01"])
    assert digest(pd.DataFrame({"t": times.as_unit(unit)})) == digest(pd.DataFrame({"t": times}))
    zoned = times.tz_localize("Europe/Berlin")
    assert digest(pd.DataFrame({"t": zoned.as_unit(unit)})) == digest(pd.DataFrame({"t": zoned}))
    assert digest(pd.DataFrame({"t": zoned})) != digest(pd.DataFrame({"t": times}))
    spans = pd.to_timedelta([1, -2, None], unit="h")
    assert digest(pd.DataFrame({"t": spans.as_unit(unit)})) == digest(pd.DataFrame({"t": spans}))


def test_dates_are_days() -> None:
    days = [dt.date(2026, 3, 3), None, dt.date(1969, 12, 31)]
    as_objects = digest({"d": np.array(days, dtype=object)})
    assert digest({"d": np.array(["2026-03-03", "NaT", "1969-12-31"], dtype="M8[D]")}) == as_objects


def test_every_nan_is_the_same() -> None:
    bits = np.array([0x7FF8000000000000, 0x7FF0000000000001, 0xFFF8000000000000], dtype="<u8")
    nans = bits.view("<f8")
    assert len({digest({"a": nans[n : n + 1]}) for n in range(3)}) == 1
    assert digest({"a": np.array([np.nan])}) == digest({"a": nans[:1]})


def digest_of_chunks(types: dict[str, str], batches: list[list[Chunk]]) -> str:
    columns = [ColumnType(name, kind, kind) for name, kind in types.items()]
    cut = [
        Batch(_rows(batch[0]), [partial(_itself, chunk) for chunk in batch]) for batch in batches
    ]
    return read_table(Table(columns, cut), Progress("data"), profile=False).digest


def _itself(chunk: Chunk) -> Chunk:
    return chunk


def _rows(chunk: Chunk) -> int:
    assert isinstance(chunk, Variable)
    return len(chunk.lengths)


cells = st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=30)


@given(cells, st.lists(st.integers(0, 30), max_size=5))
def test_cutting_a_table_up_does_not_count(texts: list[str | None], cuts: list[int]) -> None:
    encoded = [None if text is None else text.encode() for text in texts]
    numbers = np.arange(len(texts), dtype="<i4")
    valid = np.array([text is not None for text in texts], dtype=bool)
    edges = sorted({0, len(texts), *(cut for cut in cuts if cut < len(texts))})

    def table(*edges: int) -> str:
        pieces = [slice(*pair) for pair in itertools.pairwise(edges)]
        return digest_of_chunks(
            {"t": "string", "n": "int32"},
            [[Variable.of(encoded[p]), Fixed(numbers[p], valid[p])] for p in pieces],
        )

    assert table(*edges) == table(0, len(texts))


@given(cells, cells)
def test_only_equal_columns_have_equal_digests(
    one: list[str | None], other: list[str | None]
) -> None:
    def table(texts: list[str | None]) -> str:
        values = [None if text is None else text.encode() for text in texts]
        return digest_of_chunks({"t": "string"}, [[Variable.of(values)]])

    assert (table(one) == table(other)) == (one == other)


def test_times_and_dates_too_far_away_are_refused() -> None:
    # NumPy would wrap them around, so that two moments had one digest.
    for far in ("10000000-01-01", "-6000000-01-01"):
        with pytest.raises(TypeError, match=r'"d" is of type datetime64.* beyond 32 bits'):
            digest({"d": np.array([far], dtype="M8[D]")})
    with pytest.raises(TypeError, match=r'"t" is of type datetime64.* beyond 64 bits'):
        digest({"t": np.array([2**62], dtype="M8[h]")})


def test_coarse_units_are_those_of_finer_ones() -> None:
    for coarse, fine in (("M8[h]", "M8[s]"), ("M8[25s]", "M8[s]"), ("m8[D]", "m8[s]")):
        times = np.array([0, 7, "NaT"], dtype=coarse)
        assert digest({"t": times}) == digest({"t": times.astype(fine)})
    weeks = np.array(["2026-03-05", "NaT"], dtype="M8[W]")
    assert digest({"d": weeks}) == digest({"d": weeks.astype("M8[D]")})


def test_truth_values_are_0_and_1_whatever_they_were_made_of() -> None:
    odd = np.array([2, 0, 255], dtype="u1").view(bool)

    assert digest({"a": odd}) == digest({"a": np.array([True, False, True])})


def test_arrays_in_a_mapping_may_have_more_dimensions() -> None:
    images = np.arange(24, dtype="f4").reshape(2, 3, 4)
    seen = describe_dataset({"image": images, "label": [0, 1]}, name="data", profile=False)

    assert [(c.name, c.type) for c in seen.columns] == [
        ("image", "fixed_shape_tensor[value_type=float, shape=[3, 4]]"),
        ("label", "int64"),
    ]
    assert digest({"0": images}) == digest(images)
    fields = np.zeros(2, dtype=[("image", "f4", (3, 4)), ("label", "i8")])
    fields["image"], fields["label"] = images, [0, 1]
    assert digest(fields) == seen.digest
    assert digest({"image": images.reshape(2, 4, 3), "label": [0, 1]}) != seen.digest


def test_rows_count_where_there_are_no_columns() -> None:
    seen = [describe_dataset(data, name="data") for data in (np.zeros((5, 0)), np.zeros((4, 0)))]

    assert [use.row_count for use in seen] == [5, 4]
    assert seen[0].digest != seen[1].digest
    assert digest(pd.DataFrame(index=range(5))) == seen[0].digest


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match='"b" has 1 rows'):
        digest({"a": [1, 2], "b": [1]})


@pytest.mark.parametrize(
    "data",
    [
        np.array([1j]),
        np.array([1, "a"], dtype=object),
        np.array([2**70], dtype=object),
        np.array([2**63, -1], dtype=object),
        np.array([[1], [2, 3]], dtype=object),
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.array([dt.datetime(2026, 3, 3, tzinfo=dt.UTC)], dtype=object),
        pd.DataFrame({"p": pd.period_range("2020", periods=2)}),
        pd.DataFrame({"i": pd.interval_range(0, 2)}),
        {"a": np.ma.masked_array([1, 2], mask=[True, False])},
        {"a": np.zeros((2, 2), dtype="M8[s]")},
        {"a": {1, 2}},
        {"a": "text"},
        {"a": 3},
        np.zeros((2, 2), dtype=[("a", "i4")]),
        np.zeros(2, dtype=[("a", [("b", "i4")])]),
        np.zeros(2, dtype=np.longdouble),
        object(),
        [1, 2],
    ],
)
def test_what_has_no_canonical_form_is_refused(data: Any) -> None:
    with pytest.raises(TypeError):
        digest(data)


def test_files_and_bytes_have_their_plain_digest(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b"a,b\n1,2\n")
    expected = "sha256:" + hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    seen = describe_dataset(file, name="data")
    assert (seen.digest, seen.format, seen.size_bytes) == (expected, "file/v1", 8)
    assert (seen.source, seen.row_count) == (str(file), -1)
    assert (
        digest(str(file)) == digest(b"a,b\n1,2\n") == digest(bytearray(b"a,b\n1,2\n")) == expected
    )


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="the shell's own tools are missing")
def test_a_folders_digest_is_that_of_the_documented_command(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "a.csv").write_text("1")
    (folder / "b" / "\N{SNOWMAN}.csv").write_text("2")
    (folder / "b.csv").write_text("3")
    command = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum"
    answer = subprocess.run(  # noqa: S602 - the command that the documentation gives
        command, shell=True, cwd=folder, capture_output=True, text=True, check=True
    )
    before = digest(folder)
    assert before == "sha256:" + answer.stdout.split()[0]
    assert describe_dataset(folder, name="data").size_bytes == 3
    (folder / "a.csv").rename(folder / "c.csv")
    assert digest(folder) != before


def test_paths_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        digest(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidArgument):
        digest(tmp_path / "empty")


@pytest.mark.parametrize(
    "wrong", [{"name": "Wine"}, {"name": "w", "version": "/"}, {"name": "w", "role": ""}]
)
def test_malformed_names_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        describe_dataset(b"", **wrong)
