"""pandas frames and series as columns of `table/v1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from studbook.numpy_tables import (
    column_of_array,
    moments_in_zone,
    unsupported,
    variable_column,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.dataset_columns import TableColumn


def columns_of_pandas(data: Any) -> Iterator[TableColumn]:
    """The columns of a frame, series or index; an index that says something comes first.

    Raises:
        TypeError: When it is none of these, or when a type has no canonical form.
    """
    if isinstance(data, pd.Series):
        data = data.to_frame(name="0" if data.name is None else data.name)
    if isinstance(data, pd.Index):
        data = data.to_frame(index=False)
    if not isinstance(data, pd.DataFrame):
        message = f"{type(data).__qualname__} of pandas has no canonical form; give a frame."
        raise TypeError(message)
    yield from _index_columns(data.index)
    for position, label in enumerate(data.columns):
        yield column_of_pandas(str(label), data.iloc[:, position])


def _index_columns(index: Any) -> Iterator[TableColumn]:
    numbered = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    if numbered:
        return
    for level in range(index.nlevels):
        name = index.names[level]
        label = f"__index_level_{level}__" if name is None else str(name)
        yield column_of_pandas(label, index.get_level_values(level))


def column_of_pandas(name: str, values: Any) -> TableColumn:
    """One column out of a series, index or array of pandas.

    Raises:
        TypeError: When its type has no canonical form.
    """
    series = pd.Series(values)
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return column_of_array(name, series.to_numpy())
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(name, series)
    if isinstance(dtype, pd.ArrowDtype) or getattr(dtype, "storage", "") == "pyarrow":
        return _arrow_column(name, series)
    if isinstance(dtype, pd.StringDtype):
        return variable_column(name, "string", series.to_numpy(dtype=object, na_value=None))
    if isinstance(dtype, pd.DatetimeTZDtype):
        in_utc = series.dt.tz_convert("UTC").dt.tz_localize(None)
        return moments_in_zone(name, in_utc.to_numpy(), str(dtype.tz))
    stored = getattr(dtype, "numpy_dtype", None)
    if stored is not None and stored.kind in "biuf":  # the types with a mask beside the values
        missing = series.isna().to_numpy(dtype=bool)
        fill = False if stored.kind == "b" else 0
        return column_of_array(name, series.to_numpy(dtype=stored, na_value=fill), ~missing)
    raise unsupported(name, str(dtype))


def _arrow_column(name: str, series: Any) -> TableColumn:
    """A column that pandas keeps in Arrow's form."""
    import pyarrow as pa  # noqa: PLC0415 - it is there when pandas uses it

    from studbook.arrow_tables import column_of_arrow  # noqa: PLC0415 - imports pyarrow

    return column_of_arrow(name, pa.chunked_array(series.array.__arrow_array__()))


def _categories(name: str, series: Any) -> TableColumn:
    """The values themselves: that they are stored as numbers of categories is no content."""
    codes = series.cat.codes.to_numpy()
    categories = pd.Series(series.cat.categories)
    if not len(categories):
        return column_of_array(name, np.full(len(codes), None, dtype=object))
    values = categories.take(np.maximum(codes, 0))
    is_text = isinstance(values.dtype, pd.StringDtype)
    return column_of_array(name, values.to_numpy(dtype=object if is_text else None), codes >= 0)
