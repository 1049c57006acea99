"""Polars frames and series as `table/v1`, by way of Arrow, some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from studbook.arrow_tables import column_of_arrow, table_of_batches
from studbook.dataset_tables import CHUNK_ROWS
from studbook.value_columns import no_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from studbook.dataset_columns import TableColumn
    from studbook.dataset_tables import Table

# As Polars has the values in memory: an older form would be a copy.
_AS_THEY_ARE = pl.CompatLevel.newest()


def table_of_polars(data: Any) -> Table:
    """A frame, a series, or a lazy frame, which is computed batch by batch where Polars can.

    Raises:
        TypeError: When it is none of these, or when a type has no canonical form.
    """
    if isinstance(data, pl.Series):
        data = data.to_frame(data.name or "0")
    if isinstance(data, pl.DataFrame):
        slices = data.iter_slices(CHUNK_ROWS) if data.width else [data]
        return _table(data.schema, slices, data.height)
    if isinstance(data, pl.LazyFrame):
        return _table(data.collect_schema(), _computed(data))
    message = f"{type(data).__qualname__} of Polars has no canonical form; give a frame."
    raise TypeError(message)


def column_of_polars(name: str, values: Any) -> TableColumn:
    """One column out of a series.

    Raises:
        TypeError: When it is none, or when its type has no canonical form.
    """
    if not isinstance(values, pl.Series):
        raise no_column(name, values)
    kind = _arrow_type(name, values.dtype)
    return column_of_arrow(name, values.to_arrow(compat_level=_AS_THEY_ARE).cast(kind))


def _computed(data: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    if hasattr(data, "collect_batches"):
        yield from data.collect_batches(maintain_order=True)
    else:  # Polars before 1.34
        yield from data.collect().iter_slices(CHUNK_ROWS)


def _table(schema: pl.Schema, frames: Iterable[pl.DataFrame], rows: int = -1) -> Table:
    arrow_schema = pa.schema([(name, _arrow_type(name, kind)) for name, kind in schema.items()])

    def batches() -> Iterator[pa.RecordBatch]:
        for frame in frames:
            table = frame.to_arrow(compat_level=_AS_THEY_ARE)
            # A cast would lose the rows of a table that has no columns.
            if table.num_columns:
                table = _cast(table, arrow_schema)
            yield from table.to_batches()

    return table_of_batches(arrow_schema, batches(), rows)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return table.cast(schema)
    except pa.ArrowInvalid as error:  # lists of the type Null, which Polars hands out too short
        message = (
            f"Polars hands out something that is no Arrow table. {error}. Give what is of the type "
            "Null within lists another one."
        )
        raise TypeError(message) from error


def _arrow_type(name: str, kind: pl.DataType) -> pa.DataType:
    try:
        if kind != pl.Object:
            return pl.Series([], dtype=kind).to_arrow(compat_level=_AS_THEY_ARE).type
    except pa.ArrowInvalid:  # Arrow has no such type
        pass
    message = f'The column "{name}" is of type {kind} of Polars, which has no canonical form.'
    raise TypeError(message)
