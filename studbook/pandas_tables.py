"""pandas frames and series as columns of `table/v1`."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from studbook.data_libraries import require_library
from studbook.dataset_columns import TableColumn, table_of_columns
from studbook.dataset_tables import Chunk, Fixed, Variable
from studbook.numpy_tables import column_of_array, moments_in_zone
from studbook.value_columns import no_column, unsupported, variable_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from studbook.dataset_tables import Table


def table_of_pandas(data: Any) -> Table:
    """A frame, series or index; an index that says something comes first.

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
    columns = list(_index_columns(data.index))
    for position, label in enumerate(data.columns):
        columns.append(column_of_pandas(str(label), data.iloc[:, position]))
    return table_of_columns(columns, len(data))


def _index_columns(index: Any) -> Iterator[TableColumn]:
    if _only_counts(index):
        return
    for level in range(index.nlevels):
        name = index.names[level]
        label = f"__index_level_{level}__" if name is None else str(name)
        yield column_of_pandas(label, index.get_level_values(level))


def _only_counts(index: Any) -> bool:
    """Whether an index does no more than to number the rows from 0, however it is stored."""
    if index.nlevels > 1 or index.name is not None:
        return False
    if isinstance(index, pd.RangeIndex):
        return bool(index.start == 0 and index.step == 1)
    if not pd.api.types.is_integer_dtype(index.dtype) or index.hasnans:
        return False
    return np.array_equal(index.to_numpy(), np.arange(len(index)))


def column_of_pandas(name: str, values: Any) -> TableColumn:
    """One column out of a series, index or array of pandas.

    Raises:
        TypeError: When it is none of these, or when its type has no canonical form.
    """
    is_column = isinstance(values, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray))
    if not is_column or isinstance(values, pd.MultiIndex):
        raise no_column(name, values)
    series = pd.Series(values)
    if isinstance(series.dtype, pd.SparseDtype):
        series = series.sparse.to_dense()
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
        return moments_in_zone(name, in_utc.to_numpy(), _zone_name(name, dtype.tz))
    stored = getattr(dtype, "numpy_dtype", None)
    if stored is not None and stored.kind in "biuf":  # the types with a mask beside the values
        missing = series.isna().to_numpy(dtype=bool)
        fill = False if stored.kind == "b" else 0
        return column_of_array(name, series.to_numpy(dtype=stored, na_value=fill), ~missing)
    raise unsupported(name, str(dtype))


def _zone_name(name: str, zone: dt.tzinfo) -> str:
    """The name of a time zone, be it one of zoneinfo, pytz, dateutil or Python itself."""
    # As zoneinfo and dateutil, pytz, and dateutil before its version 4 have it.
    file = str(getattr(zone, "_filename", "")).rpartition("zoneinfo/")[2]
    named = getattr(zone, "key", None) or getattr(zone, "zone", None) or file
    if named:
        return str(named)
    offset = zone.utcoffset(None)
    if offset is None:
        raise unsupported(name, f"times in {zone}, a time zone without a name")
    minutes, rest = divmod(abs(offset), dt.timedelta(minutes=1))
    if rest:
        raise unsupported(name, f"times in {zone}, an offset of no whole minutes")
    sign = "-" if offset < dt.timedelta(0) else "+"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}" if minutes else "UTC"


def _arrow_column(name: str, series: Any) -> TableColumn:
    """A column that pandas keeps in Arrow's form."""
    require_library("pyarrow", series)
    import pyarrow as pa  # noqa: PLC0415 - it is there when pandas uses it

    from studbook.arrow_tables import column_of_arrow  # noqa: PLC0415 - imports pyarrow

    return column_of_arrow(name, pa.chunked_array(series.array.__arrow_array__()))


def _categories(name: str, series: Any) -> TableColumn:
    """The values themselves: that they are stored as numbers of categories is no content."""
    codes = series.cat.codes.to_numpy()
    if not len(series.cat.categories):  # whose type would be a matter of the version of pandas
        return column_of_array(name, np.full(len(codes), None, dtype=object))
    categories = column_of_pandas(name, series.cat.categories)
    pick = _picker(name, categories.cut(0, categories.rows))
    return TableColumn(categories.type, len(codes), lambda a, b: pick(codes[a:b]), categories.cells)


def _picker(name: str, values: Chunk) -> Callable[[NDArray[Any]], Chunk]:
    """Picks values by number; -1 stands for no value, and is the last place of a list."""
    if isinstance(values, Fixed):
        fixed = np.append(values.values, np.zeros(1, values.values.dtype))
        return lambda codes: Fixed(fixed[codes], codes >= 0)
    if not isinstance(values, Variable):
        raise unsupported(name, "categories that are lists or structs")
    lengths = np.append(values.lengths, np.zeros(1, values.lengths.dtype))
    ends = np.cumsum(lengths).tolist()
    data = bytes(values.data)
    texts = [data[a:b] for a, b in itertools.pairwise([0, *ends])]

    def pick(codes: NDArray[Any]) -> Variable:
        def count() -> dict[bytes, int]:
            counts = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
            return {text: n for text, n in zip(texts, counts, strict=True) if n}

        picked = b"".join(map(texts.__getitem__, codes.tolist()))
        return Variable(lengths[codes], picked, codes >= 0, count)

    return pick
