"""Hugging Face datasets as `table/v1`; they are Arrow underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datasets

from studbook.arrow_tables import table_of_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from studbook.dataset_tables import Table

_ROWS_AT_ONCE = 65_536


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
    in_arrow = data.with_format("arrow")

    def batches() -> Iterator[pa.RecordBatch]:
        for table in in_arrow.iter(batch_size=_ROWS_AT_ONCE):
            yield from table.to_batches()

    return table_of_batches(data.features.arrow_schema, batches(), data.num_rows)
