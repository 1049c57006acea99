"""Tables that lie in memory column by column, and are cut into batches of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from studbook.dataset_tables import CHUNK_ROWS, Chunk, ColumnType, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Numbers in a batch. A table of many columns is cut into batches of fewer rows, so that a file that
# is mapped into memory is read front to back rather than once for each column.
_BATCH_CELLS = 32 * CHUNK_ROWS


@dataclass(frozen=True)
class TableColumn:
    """One column in memory.

    Attributes:
        type: What it is.
        rows: Number of rows.
        cut: Brings the rows from one place up to another into canonical form.
        cells: Numbers in a row: one, except for tensors.
    """

    type: ColumnType
    rows: int
    cut: Callable[[int, int], Chunk]
    cells: int = 1


def table_of_columns(columns: Iterable[TableColumn]) -> Table:
    """A table of columns.

    Raises:
        ValueError: When they are not of the same length.
    """
    present = list(columns)
    rows = present[0].rows if present else 0
    for column in present:
        if column.rows != rows:
            message = (
                f'The column "{column.type.name}" has {column.rows} rows, those before it {rows}.'
            )
            raise ValueError(message)
    return Table([column.type for column in present], _batches(present, rows), rows)


def _batches(columns: Sequence[TableColumn], rows: int) -> Iterator[list[Callable[[], Chunk]]]:
    cells = sum(column.cells for column in columns)
    step = max(1, min(CHUNK_ROWS, _BATCH_CELLS // max(1, cells)))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        yield [partial(column.cut, first, last) for column in columns]
