"""Columns in memory, out of values of one width or out of texts and bytes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.dataset_columns import TableColumn, cells_of
from studbook.dataset_tables import MOMENT, Chunk, ColumnType, Fixed, Variable
from studbook.decimal_text import canonical_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Texts that are looked at to see how long they are.
_SAMPLE = 1000


def unsupported(name: str, type_name: str) -> TypeError:
    """The error for a column whose type has no canonical form."""
    return TypeError(
        f'The column "{name}" is of type {type_name}, which has no canonical form; convert it to '
        "numbers, text, times or truth values."
    )


def no_column(name: str, values: Any) -> TypeError:
    """The error for something in a mapping of columns that is no column."""
    return TypeError(f'"{name}" is a {type(values).__name__}; a column is an array or a list.')


def fixed_column(
    name: str,
    types: tuple[str, str],
    array: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    convert: Callable[[NDArray[Any]], NDArray[Any]] = lambda part: part,
) -> TableColumn:
    """A column of values of one width.

    Args:
        name: Name of the column.
        types: Its type for people, and as hashed.
        array: The values as they are stored.
        valid: Which rows have a value; None: all.
        convert: Brings some of the values into canonical form; default: they are in it.
    """

    def cut(first: int, last: int) -> Chunk:
        there = None if valid is None else valid[first:last]
        return Fixed(convert(array[first:last]), there)

    return TableColumn(
        ColumnType(name, *types), len(array), cut, cells_of(array.nbytes, len(array))
    )


def moments(numbers: NDArray[np.int64], unit: str) -> NDArray[Any]:
    """Times that are counted in `s`, `ms`, `us` or `ns` as seconds and nanoseconds."""
    per_second = _PER_SECOND[unit]
    result = np.empty(len(numbers), dtype=MOMENT)
    result["seconds"], rest = np.divmod(numbers, per_second)
    result["nanoseconds"] = rest * (10**9 // per_second)
    return result


def variable_column(
    name: str, type_name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None = None
) -> TableColumn:
    """A column of texts, bytes or decimals; None, NaN and the like are missing values."""

    def cut(first: int, last: int) -> Chunk:
        there = None if valid is None else valid[first:last].tolist()
        return Variable.of(_as_bytes(array[first:last].tolist(), there))

    return TableColumn(ColumnType(name, type_name, type_name), len(array), cut, _cells(array))


def _cells(array: NDArray[Any]) -> int:
    sample = array[:: max(1, len(array) // _SAMPLE)].tolist()
    size = sum(len(value) for value in sample if isinstance(value, (str, bytes, bytearray)))
    return cells_of(size, len(sample))


def _as_bytes(values: list[Any], valid: Sequence[bool] | None) -> list[bytes | None]:
    encoded: list[bytes | None] = [
        None if is_missing(value) else _value_bytes(value) for value in values
    ]
    if valid is None:
        return encoded
    return [value if there else None for value, there in zip(encoded, valid, strict=True)]


def _value_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return canonical_decimal(value) if isinstance(value, Decimal) else bytes(value)


def is_missing(value: Any) -> bool:
    """Whether an object stands for no value: None, NaN, and pandas' NA and NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, (float, np.floating)) and value != value  # noqa: PLR0124 - NaN
