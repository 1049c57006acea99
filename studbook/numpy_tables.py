"""NumPy arrays as columns of `table/v1`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.dataset_columns import TableColumn
from studbook.dataset_tables import MOMENT, Chunk, ColumnType, Fixed, Variable
from studbook.decimal_text import canonical_decimal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_FLOATS = {2: "halffloat", 4: "float", 8: "double"}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_COARSER_THAN_SECOND = {"h", "m"}
_COARSER_THAN_DAY = {"Y", "M", "W", "D"}
_EPOCH = dt.date(1970, 1, 1)


def columns_of_array(data: NDArray[Any]) -> list[TableColumn]:
    """The columns of an array, which may be mapped from a file.

    An array of one dimension is one column, one of two dimensions has a column for each of its
    own, both named by number; one with named fields has those; one with more dimensions is one
    column of tensors.

    Raises:
        TypeError: When a type has no canonical form.
    """
    if isinstance(data, np.ma.MaskedArray):
        message = "A masked array has no canonical form; fill it, or give a frame with nulls."
        raise TypeError(message)
    if data.dtype.names:
        flat = data.reshape(len(data))
        return [column_of_array(name, flat[name]) for name in data.dtype.names]
    if data.ndim <= 1:
        return [column_of_array("0", data.reshape(-1))]
    if data.ndim == 2:
        return [column_of_array(str(index), data[:, index]) for index in range(data.shape[1])]
    return [_column_of_tensors(data)]


def column_of_values(name: str, values: Any) -> TableColumn:
    """One column out of a sequence of values.

    Raises:
        TypeError: When it has more than one dimension, or when its type has no canonical form.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        message = f'"{name}" has {array.ndim} dimensions; a column has one.'
        raise TypeError(message)
    return column_of_array(name, array)


def column_of_array(
    name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None = None
) -> TableColumn:
    """One column out of a one-dimensional array.

    Args:
        name: Name of the column.
        array: The values.
        valid: Which rows have a value; None: all, but for NaT, and None and NaN among objects.

    Raises:
        TypeError: When the type has no canonical form.
    """
    kind = array.dtype.kind
    if kind in "biuf":
        type_name = fixed_type(array.dtype)
        return _fixed_column(name, type_name, type_name, array, valid, _little_endian)
    if kind in "Mm":
        return _time_column(name, array, valid)
    if kind == "U":
        return variable_column(name, "string", array, valid)
    if kind == "S":
        return variable_column(name, "binary", array, valid)
    if kind == "O":
        return _object_column(name, array, valid)
    raise unsupported(name, str(array.dtype))


def unsupported(name: str, type_name: str) -> TypeError:
    """The error for a column whose type has no canonical form."""
    return TypeError(
        f'The column "{name}" is of type {type_name}, which has no canonical form; convert it to '
        "numbers, text, times or truth values."
    )


def fixed_type(dtype: np.dtype[Any]) -> str:
    """Arrow's name for a type of numbers or truth values.

    Raises:
        TypeError: When Arrow has no such type.
    """
    if dtype.kind == "b":
        return "bool"
    if dtype.kind == "f" and dtype.itemsize in _FLOATS:
        return _FLOATS[dtype.itemsize]
    if dtype.kind in "iu" and dtype.itemsize <= 8:
        return dtype.name
    message = f"{dtype} has no canonical form; convert it to float64."
    raise TypeError(message)


def _little_endian(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def _fixed_column(
    name: str,
    type_name: str,
    canonical: str,
    array: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    convert: Callable[[NDArray[Any]], NDArray[Any]],
) -> TableColumn:
    def cut(first: int, last: int) -> Chunk:
        there = None if valid is None else valid[first:last]
        return Fixed(convert(array[first:last]), there)

    return TableColumn(ColumnType(name, type_name, canonical), len(array), cut)


def _column_of_tensors(array: NDArray[Any]) -> TableColumn:
    shape = ", ".join(map(str, array.shape[1:]))
    type_name = f"fixed_shape_tensor[value_type={fixed_type(array.dtype)}, shape=[{shape}]]"

    def cut(first: int, last: int) -> Chunk:
        return Fixed(_little_endian(np.ascontiguousarray(array[first:last])))

    cells = max(1, int(np.prod(array.shape[1:])))
    return TableColumn(ColumnType("0", type_name, type_name), len(array), cut, cells)


def _time_column(
    name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None, zone: str = ""
) -> TableColumn:
    unit, count = np.datetime_data(array.dtype)
    is_moment = array.dtype.kind == "M"
    if is_moment and unit in _COARSER_THAN_DAY:
        present = _present(array, valid)
        days = array.astype("<M8[D]").view("<i8")
        return _fixed_column(
            name, "date32", "date32", days, present, lambda part: part.astype("<i4")
        )
    if unit in _COARSER_THAN_SECOND or (unit in _COARSER_THAN_DAY and unit not in {"Y", "M"}):
        array, unit, count = array.astype(f"{array.dtype.kind}8[s]"), "s", 1
    if unit not in _PER_SECOND or count != 1:
        raise unsupported(name, str(array.dtype))

    def convert(part: NDArray[Any]) -> NDArray[Any]:
        return moments(part.astype(part.dtype.newbyteorder("<"), copy=False).view("<i8"), unit)

    word = "timestamp" if is_moment else "duration"
    type_name = f"{word}[{unit}, tz={zone}]" if zone else f"{word}[{unit}]"
    canonical = f"{word}[tz={zone}]" if zone else word
    contiguous = np.ascontiguousarray(array)
    return _fixed_column(name, type_name, canonical, contiguous, _present(array, valid), convert)


def moments(numbers: NDArray[np.int64], unit: str) -> NDArray[Any]:
    """Times that are counted in `s`, `ms`, `us` or `ns` as seconds and nanoseconds."""
    per_second = _PER_SECOND[unit]
    result = np.empty(len(numbers), dtype=MOMENT)
    result["seconds"], rest = np.divmod(numbers, per_second)
    result["nanoseconds"] = rest * (10**9 // per_second)
    return result


def moments_in_zone(name: str, array: NDArray[Any], zone: str) -> TableColumn:
    """A column of moments in UTC that are shown in a time zone."""
    return _time_column(name, array, None, zone)


def _present(array: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    there: NDArray[np.bool_] = ~np.isnat(array)
    return there if valid is None else there & valid


def variable_column(
    name: str, type_name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None = None
) -> TableColumn:
    """A column of texts or bytes; among objects None, NaN and the like are missing values."""

    def cut(first: int, last: int) -> Chunk:
        there = None if valid is None else valid[first:last].tolist()
        return Variable.of(_as_bytes(array[first:last].tolist(), there))

    return TableColumn(ColumnType(name, type_name, type_name), len(array), cut)


def _as_bytes(values: list[Any], valid: list[bool] | None) -> list[bytes | None]:
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


def _object_column(name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None) -> TableColumn:
    """A column of Python objects, of the type that all its values are of."""
    there = np.fromiter((not is_missing(value) for value in array), np.bool_, count=len(array))
    if valid is not None:
        there &= valid
    present = array[there]
    type_name, stored = _type_of_objects(name, present)
    if stored is None:
        return variable_column(name, type_name, array, there)
    if type_name == "date32":
        present = np.array([(value - _EPOCH).days for value in present], dtype="<i4")
    if type_name == "time64[us]":
        return _times_of_day(name, present, there)
    values = np.zeros(len(array), dtype=stored)
    try:
        values[there] = present
    except OverflowError:
        raise unsupported(name, "object, with whole numbers beyond 64 bits") from None
    return _fixed_column(name, type_name, type_name, values, there, _little_endian)


def _times_of_day(name: str, present: NDArray[Any], there: NDArray[np.bool_]) -> TableColumn:
    if any(value.tzinfo for value in present):
        raise unsupported(name, "object, with times of day in a time zone")
    numbers = np.zeros(len(there), dtype="<i8")
    numbers[there] = [
        ((value.hour * 60 + value.minute) * 60 + value.second) * 10**6 + value.microsecond
        for value in present
    ]
    return _fixed_column(
        name, "time64[us]", "time", numbers, there, lambda part: moments(part, "us")
    )


def _type_of_objects(name: str, present: NDArray[Any]) -> tuple[str, str | None]:
    """Arrow's name for the type of the values, and how they are stored; None: as bytes."""
    if not len(present):
        return "null", None
    for types, type_name, stored in _OBJECT_TYPES:
        # A datetime is a date to Python, but has a time of day that must not be lost.
        if all(isinstance(v, types) and not isinstance(v, dt.datetime) for v in present):
            return type_name, stored
    names = ", ".join(sorted({type(value).__name__ for value in present}))
    raise unsupported(name, f"object, with values of {names}")


# Truth values come first, since Python's are whole numbers as well.
_OBJECT_TYPES: tuple[tuple[Any, str, str | None], ...] = (
    (str, "string", None),
    ((bytes, bytearray), "binary", None),
    ((bool, np.bool_), "bool", "|b1"),
    ((int, np.integer), "int64", "<i8"),
    ((float, np.floating), "double", "<f8"),
    (dt.date, "date32", "<i4"),
    (dt.time, "time64[us]", "<i8"),
    (Decimal, "decimal", None),
)
