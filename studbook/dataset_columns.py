"""Tables that lie in memory column by column, and are cut into batches of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from studbook.dataset_tables import CHUNK_ROWS, Batch, Chunk, ColumnType, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Cells of eight bytes in a batch. A table of many columns, or of long texts, is cut into batches of
# fewer rows: so memory stays bounded, and a file that is mapped into memory is read front to back
# rather than once for each column.
_BATCH_CELLS = 16 * CHUNK_ROWS
_CELL_BYTES = 8


@dataclass(frozen=True)
class TableColumn:
    """One column in memory.

    Attributes:
        type: What it is.
        rows: Number of rows.
        cut: Brings the rows from one place up to another into canonical form.
        cells: How much a row takes, in numbers of eight bytes; one, except for tensors and texts.
    """

    type: ColumnType
    rows: int
    cut: Callable[[int, int], Chunk]
    cells: int = 1


def cells_of(size: int, rows: int) -> int:
    """What a row takes of a column that takes `size` bytes in all."""
    return max(1, size // (_CELL_BYTES * max(1, rows)))


def table_of_columns(columns: Iterable[TableColumn], rows: int | None = None) -> Table:
    """A table of columns.

    Args:
        columns: The columns.
        rows: Number of rows; default: that of the first column, 0 when there is none.

    Raises:
        ValueError: When they are not of the same length.
    """
    present = list(columns)
    if rows is None:
        rows = present[0].rows if present else 0
    for column in present:
        if column.rows != rows:
            message = (
                f'The column "{column.type.name}" has {column.rows} rows, those before it {rows}.'
            )
            raise ValueError(message)
    return Table([column.type for column in present], _batches(present, rows), rows)


def _batches(columns: Sequence[TableColumn], rows: int) -> Iterator[Batch]:
    cells = sum(column.cells for column in columns)
    step = max(1, min(CHUNK_ROWS, _BATCH_CELLS // max(1, cells)))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        yield Batch(last - first, [partial(column.cut, first, last) for column in columns])
