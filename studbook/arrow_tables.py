"""Arrow tables as `table/v1`, and what other libraries hand out in Arrow's form.

Tables that are not in memory (readers, datasets, lazy frames) are read batch by batch.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset

from studbook.arrow_chunks import chunk_of, column_type
from studbook.arrow_files import batches_of_dataset
from studbook.dataset_columns import TableColumn, cells_of
from studbook.dataset_tables import CHUNK_ROWS, Batch, Table
from studbook.value_columns import no_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from studbook.dataset_tables import Chunk

# Small batches are joined until they are worth the calls that each of them costs; large ones are
# cut. So the memory taken is bounded, whatever the batches.
_ENOUGH_ROWS = 65_536
_ENOUGH_BYTES = 4 * 1024 * 1024
_ENOUGH_BYTES_A_COLUMN = 64 * 1024
_MOST_BYTES = 64 * 1024 * 1024


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
        batches = batches_of_dataset(data, _ENOUGH_ROWS, _enough_bytes(len(data.schema)))
        return table_of_batches(data.schema, batches)
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
    """One column out of an array or chunked array.

    Raises:
        TypeError: When it is neither, or when its type has no canonical form.
    """
    if not isinstance(data, (pa.Array, pa.ChunkedArray)):
        raise no_column(name, data)

    def cut(first: int, last: int) -> Chunk:
        return _chunk(name, data.slice(first, last - first))

    cells = cells_of(_size(data), len(data))
    return TableColumn(column_type(name, data.type), len(data), cut, cells)


def _one_array(data: Any) -> pa.Array:
    if not isinstance(data, pa.ChunkedArray):
        return data
    if data.num_chunks == 1:
        return data.chunk(0)
    joined = data.combine_chunks()
    # Where one array cannot hold all of it, several are handed back.
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _batches(batches: Iterable[pa.RecordBatch]) -> Iterator[Batch]:
    for table in _joined(batches):
        rows = table.num_rows
        step = max(1, min(CHUNK_ROWS, rows * _MOST_BYTES // max(1, _size(table))))
        for first in range(0, rows, step):
            part = table.slice(first, step)
            columns = [partial(_chunk, name, part[i]) for i, name in enumerate(part.column_names)]
            yield Batch(min(step, rows - first), columns)


def _chunk(name: str, column: Any) -> Chunk:
    try:
        return chunk_of(_one_array(column))
    except (TypeError, pa.ArrowNotImplementedError) as error:
        message = f'The column "{name}" has no canonical form. {error}'
        raise TypeError(message) from error


def _size(data: Any) -> int:
    """Bytes that the rows take."""
    try:
        return int(data.nbytes)
    except pa.ArrowTypeError:  # of views, Arrow before 22 does not know
        return _ENOUGH_BYTES


def _enough_bytes(columns: int) -> int:
    return min(max(_ENOUGH_BYTES, columns * _ENOUGH_BYTES_A_COLUMN), _MOST_BYTES)


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        size += _size(batch)
        if rows >= _ENOUGH_ROWS or size >= _enough_bytes(batch.num_columns):
            yield pa.Table.from_batches(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)
