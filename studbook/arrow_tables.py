"""Arrow tables as `table/v1`, and what other libraries hand out in Arrow's form.

Tables that are not in memory (readers, datasets, lazy frames) are read batch by batch.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset

from studbook.arrow_chunks import chunk_of, column_type
from studbook.dataset_columns import TableColumn
from studbook.dataset_tables import CHUNK_ROWS, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from studbook.dataset_tables import Chunk

# Batches are joined until they are worth the calls that each of them costs.
_LEAST_ROWS = 65_536
_MOST_BYTES = 32 * 1024 * 1024


def table_of_arrow(data: Any) -> Table:
    """A table, record batch, reader, dataset, array or chunked array of Arrow.

    Raises:
        TypeError: When it is none of these, or when a type has no canonical form.
    """
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        data = pa.table({"0": data})
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return table_of_batches(data.schema, data.to_batches(CHUNK_ROWS), data.num_rows)
    if isinstance(data, pa.RecordBatchReader):
        return table_of_batches(data.schema, data)
    if isinstance(data, pyarrow.dataset.Dataset):
        # Few batches are read ahead, so that memory is bounded by them and not by the dataset.
        scanner = data.scanner(batch_readahead=2, fragment_readahead=1)
        return table_of_batches(scanner.projected_schema, scanner.to_reader())
    message = f"{type(data).__qualname__} of pyarrow has no canonical form; give a table or reader."
    raise TypeError(message)


def table_of_stream(data: Any) -> Table:
    """What hands itself out as a stream of Arrow batches, `__arrow_c_stream__`."""
    return table_of_arrow(pa.RecordBatchReader.from_stream(data))


def table_of_batches(schema: pa.Schema, batches: Iterable[pa.RecordBatch], rows: int = -1) -> Table:
    """Record batches of one schema, which are read once."""
    columns = [column_type(field.name, field.type) for field in schema]
    return Table(columns, _batches(batches), rows)


def column_of_arrow(name: str, data: Any) -> TableColumn:
    """One column out of an array or chunked array."""

    def cut(first: int, last: int) -> Chunk:
        return chunk_of(_one_array(data.slice(first, last - first)))

    return TableColumn(column_type(name, data.type), len(data), cut)


def _one_array(data: Any) -> pa.Array:
    if not isinstance(data, pa.ChunkedArray):
        return data
    joined = data.combine_chunks()
    # Where one array cannot hold all of it, several are handed back.
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _batches(batches: Iterable[pa.RecordBatch]) -> Iterator[list[Callable[[], Chunk]]]:
    for table in _joined(batches):
        for first in range(0, table.num_rows, CHUNK_ROWS):
            part = table.slice(first, CHUNK_ROWS)
            yield [partial(_chunk, column) for column in part.columns]


def _chunk(column: pa.ChunkedArray) -> Chunk:
    return chunk_of(_one_array(column))


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.get_total_buffer_size() if batch.num_rows < _LEAST_ROWS else _MOST_BYTES
        if rows >= _LEAST_ROWS or size >= _MOST_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)
