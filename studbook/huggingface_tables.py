"""Hugging Face datasets as `table/v1`; they are Arrow underneath."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import datasets
from datasets.features.features import require_storage_embed
from datasets.table import embed_table_storage

from studbook.arrow_tables import table_of_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from studbook.dataset_tables import ColumnType, Table

_MOST_ROWS = 65_536
_BYTES_AT_ONCE = 32 * 1024 * 1024
_FILES_AT_ONCE = 64


def table_of_hugging_face(data: Any) -> Table:
    """A `datasets.Dataset`, with the rows that were selected and in their order.

    Raises:
        TypeError: When it holds several splits, or is read from elsewhere as it goes.
    """
    if isinstance(data, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        splits = ", ".join(map(str, data))
        message = (
            f"A DatasetDict is several datasets ({splits}). Record each: "
            'run.use_dataset(data["train"], name=..., role="training").'
        )
        raise TypeError(message)
    if not isinstance(data, datasets.Dataset):
        message = (
            f"datasets.{type(data).__qualname__} has no content to hash before it is downloaded. "
            "Give a datasets.Dataset, or a studbook.reference with the revision."
        )
        raise TypeError(message)
    table = table_of_batches(data.features.arrow_schema, _batches(data), data.num_rows)
    columns = [_with_labels(column, data.features[column.name]) for column in table.columns]
    return replace(table, columns=columns)


def _with_labels(column: ColumnType, feature: Any) -> ColumnType:
    """The column with the names of its class labels, which say what the numbers stand for."""
    if isinstance(feature, datasets.ClassLabel):
        text = f"class_label[names={json.dumps(list(feature.names or []))}]"
        return replace(column, shown=text, canonical=text)
    if isinstance(feature, list):
        return _with_parts(column, [_with_labels(column.parts[0], feature[0])])
    inner = getattr(feature, "feature", feature)  # of a list
    if column.canonical == "list" and inner is not feature:
        return _with_parts(column, [_with_labels(column.parts[0], inner)])
    if column.canonical == "struct" and isinstance(inner, dict):
        # A Sequence of a dict is a struct of lists, before version 4 of the library.
        of_lists = inner is not feature
        return _with_parts(
            column,
            [
                _with_labels(part, [inner[part.name]] if of_lists else inner[part.name])
                for part in column.parts
            ],
        )
    return column


def _with_parts(column: ColumnType, parts: Sequence[ColumnType]) -> ColumnType:
    if tuple(parts) == column.parts:
        return column
    if column.canonical == "list":
        shown = f"list<{parts[0].shown}>"
    else:
        shown = f"struct<{', '.join(f'{part.name}: {part.shown}' for part in parts)}>"
    return replace(column, shown=shown, parts=tuple(parts))


def _batches(data: datasets.Dataset) -> Iterator[pa.RecordBatch]:
    # Images and the like may be no more than paths to files, which mean nothing elsewhere.
    elsewhere = any(map(require_storage_embed, data.features.values()))
    stored = data.data
    rows = (
        _FILES_AT_ONCE if elsewhere else _BYTES_AT_ONCE * stored.num_rows // max(1, stored.nbytes)
    )
    at_once = max(1, min(rows, _MOST_ROWS))
    for table in data.with_format("arrow").iter(batch_size=at_once):
        whole = embed_table_storage(table) if elsewhere else table
        yield from whole.to_batches()
