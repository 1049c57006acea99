"""Arrow datasets that lie in files, read batch by batch.

Arrow's own scan keeps whole Parquet files, or at least whole row groups, in memory. So a Parquet
file is read here piece by piece, where what it holds is what the dataset says it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

# What is read ahead of a column of a Parquet file.
_READ_BYTES = 1024 * 1024


def batches_of_dataset(data: ds.Dataset, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """The rows of a dataset, in its order.

    Args:
        data: The dataset.
        rows: Most rows in a batch.
        size: Bytes that a batch of a Parquet file should have at most.
    """
    try:
        parts = list(data.get_fragments())
    except ValueError:  # of a dataset with a filter Arrow hands out no parts
        yield from data.scanner(batch_size=rows, **_FEW_AT_ONCE).to_reader()
        return
    for part in parts:
        if isinstance(part, ds.ParquetFileFragment) and _is_plain(part, data.schema):
            yield from _parquet_batches(part, rows, size)
        else:
            yield from part.scanner(data.schema, batch_size=rows, **_FEW_AT_ONCE).to_reader()


_FEW_AT_ONCE = {"batch_readahead": 1, "fragment_readahead": 1}


def _is_plain(part: ds.ParquetFileFragment, schema: pa.Schema) -> bool:
    """Whether all of a file, read as it is, are the rows of the dataset."""
    return bool(
        part.format == ds.ParquetFileFormat()
        and part.physical_schema.equals(schema)
        and part.num_row_groups == part.metadata.num_row_groups
    )


def _parquet_batches(
    part: ds.ParquetFileFragment, most_rows: int, size: int
) -> Iterator[pa.RecordBatch]:
    metadata = part.metadata
    total = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    rows = max(1, min(most_rows, size * metadata.num_rows // max(1, total)))
    with part.open() as source:
        file = pq.ParquetFile(source, pre_buffer=False, buffer_size=_READ_BYTES)
        yield from file.iter_batches(batch_size=rows)
