"""Which library's table it is, and how it becomes one of `table/v1`.

Of the libraries only that is imported from which the data is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studbook.data_libraries import library_of, require_library
from studbook.dataset_columns import table_of_columns
from studbook.numpy_tables import column_of_values, table_of_array

if TYPE_CHECKING:
    from studbook.dataset_columns import TableColumn
    from studbook.dataset_tables import Table


def table_of(data: Any) -> Table:
    """The table that data of NumPy, pandas, Polars, Arrow or Hugging Face is, or a mapping.

    Raises:
        TypeError: When it, or one of its columns, has no canonical form.
        ValueError: When columns are not of the same length.
        ImportError: When a library is needed that is not there, or too old.
    """
    if library_of(data) == "datasets":
        require_library("pyarrow", data)
        from studbook.huggingface_tables import table_of_hugging_face  # noqa: PLC0415

        return table_of_hugging_face(data)
    if isinstance(data, Mapping):
        return table_of_columns([_column(str(name), data[name]) for name in data])
    match library_of(data):
        case "numpy":
            return table_of_array(data)
        case "pandas":
            from studbook.pandas_tables import table_of_pandas  # noqa: PLC0415

            return table_of_pandas(data)
        case "polars":
            require_library("polars", data)
            require_library("pyarrow", data)
            from studbook.polars_tables import table_of_polars  # noqa: PLC0415

            return table_of_polars(data)
    return _arrow_table(data)


def _arrow_table(data: Any) -> Table:
    require_library("pyarrow", data)
    from studbook.arrow_tables import table_of_arrow, table_of_stream  # noqa: PLC0415

    return table_of_arrow(data) if library_of(data) == "pyarrow" else table_of_stream(data)


def _column(name: str, values: Any) -> TableColumn:
    """A column of a mapping, which may be of any of the libraries."""
    match library_of(values):
        case "pandas":
            from studbook.pandas_tables import column_of_pandas  # noqa: PLC0415

            return column_of_pandas(name, values)
        case "polars":
            require_library("polars", values)
            require_library("pyarrow", values)
            from studbook.polars_tables import column_of_polars  # noqa: PLC0415

            return column_of_polars(name, values)
        case "pyarrow":
            require_library("pyarrow", values)
            from studbook.arrow_tables import column_of_arrow  # noqa: PLC0415

            return column_of_arrow(name, values)
    return column_of_values(name, values)
