"""Tables that lie in files, are handed out in batches, or are single columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from studbook.datasets import describe_dataset
from studbook.run_records import Column
from tests.unit.sdk.table_digest import digest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_dataset_in_files_is_read_batch_by_batch(tmp_path: Path) -> None:
    table = pa.table({"n": np.arange(1000), "t": ["a", None] * 500})
    for part in range(4):
        file = tmp_path / f"{part}.parquet"
        pyarrow.parquet.write_table(table.slice(part * 250, 250), file, row_group_size=100)

    described = describe_dataset(pyarrow.dataset.dataset(tmp_path), name="data", profile=False)

    assert described.digest == digest(table)
    assert (described.row_count, described.columns[1]) == (1000, Column("t", "string", 500))
    assert digest(pl.scan_parquet(tmp_path / "*.parquet")) == described.digest


def test_hugging_face_datasets_count_with_their_selected_rows() -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 0]})
    table = pa.table({"text": ["a", "b", "c"], "label": [0, 1, 0]})

    assert digest(data) == digest(table)
    assert digest(data.select([2, 0])) == digest(table.take([2, 0]))
    assert digest(data.with_format("numpy")) == digest(table)
    with pytest.raises(TypeError, match=r"\(train, test\).*data\[\"train\"\]"):
        digest(datasets.DatasetDict(train=data, test=data))
    with pytest.raises(TypeError, match="IterableDataset"):
        digest(data.to_iterable_dataset())


def test_images_of_hugging_face_count_by_their_bytes(tmp_path: Path) -> None:
    def described(folder: str, content: bytes) -> str:
        file = tmp_path / folder / "1.png"
        file.parent.mkdir()
        file.write_bytes(content)
        rows = datasets.Dataset.from_dict({"image": [str(file), None]})
        return digest(rows.cast_column("image", datasets.Image()))

    one = described("one", b"pixels")

    assert described("two", b"pixels") == one != described("three", b"pixel!")
    whole = pa.table({"image": [{"bytes": b"pixels", "path": "1.png"}, None]})
    assert digest(whole) == one


def test_whatever_hands_out_arrow_batches_is_taken() -> None:
    class Foreign:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pa.table({"a": [1, 2]}).__arrow_c_stream__(requested_schema)

    assert digest(Foreign()) == digest({"a": [1, 2]})


def test_parts_of_a_dataset_may_be_of_different_kinds(tmp_path: Path) -> None:
    table = pa.table({"n": np.arange(9), "t": list("abcdefghi")})
    for group in (1, 2):
        (tmp_path / f"half={group}").mkdir()
        half = table.slice(0 if group == 1 else 5, 5 if group == 1 else 4)
        pyarrow.parquet.write_table(half, tmp_path / f"half={group}" / "1.parquet")
    parts = pyarrow.dataset.dataset(tmp_path, partitioning="hive")
    scanned = parts.to_table()

    assert digest(parts) == digest(scanned) != digest(table)
    assert digest(parts.replace_schema(table.schema)) == digest(table)
    some = parts.filter(pyarrow.dataset.field("n") > 3)
    assert digest(some) == digest(some.to_table())
    both = pyarrow.dataset.dataset([parts, pyarrow.dataset.dataset(scanned)])
    assert digest(both) == digest(pa.concat_tables([scanned, scanned]))


def test_arrays_mapped_from_a_file_count_as_in_memory(tmp_path: Path) -> None:
    array = np.arange(60.0).reshape(20, 3)
    np.save(tmp_path / "a.npy", array)

    assert digest(np.load(tmp_path / "a.npy", mmap_mode="r")) == digest(array)


def test_single_columns_are_tables_too() -> None:
    numbers = digest({"0": [1, 2]})

    assert digest(pa.array([1, 2])) == digest(pa.chunked_array([[1], [2]])) == numbers
    assert digest(pl.Series([1, 2])) == digest(pd.Series([1, 2])) == numbers
    assert digest(pl.Series("0", [1, 2])) == numbers
    assert digest(pa.record_batch({"0": [1, 2]})) == numbers
