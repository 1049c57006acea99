"""Polars frames and series as `table/v1`, by way of Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from studbook.arrow_tables import table_of_arrow, table_of_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from studbook.dataset_tables import Table


def table_of_polars(data: Any) -> Table:
    """A frame, a series, or a lazy frame, which is computed batch by batch where Polars can.

    Raises:
        TypeError: When it is none of these, or when a type has no canonical form.
    """
    if isinstance(data, pl.Series):
        data = data.to_frame(data.name or "0")
    if isinstance(data, pl.DataFrame):
        _refuse_objects(data.schema)
        return table_of_arrow(data.to_arrow())
    if isinstance(data, pl.LazyFrame):
        return _lazy(data)
    message = f"{type(data).__qualname__} of Polars has no canonical form; give a frame."
    raise TypeError(message)


def _lazy(data: pl.LazyFrame) -> Table:
    schema = data.collect_schema()
    _refuse_objects(schema)
    if not hasattr(data, "collect_batches"):  # Polars before 1.34
        return table_of_arrow(data.collect(engine="streaming").to_arrow())
    empty = pl.DataFrame(schema=schema).to_arrow().schema

    def batches() -> Iterator[pa.RecordBatch]:
        for frame in data.collect_batches(maintain_order=True):
            yield from frame.to_arrow().cast(empty).to_batches()

    return table_of_batches(empty, batches())


def _refuse_objects(schema: pl.Schema) -> None:
    for name, kind in schema.items():
        if kind == pl.Object:
            message = f'The column "{name}" holds Python objects, which have no canonical form.'
            raise TypeError(message)
