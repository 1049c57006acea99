"""NumPy arrays as columns of `table/v1`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.dataset_columns import table_of_columns
from studbook.object_columns import array_of_sequence, column_of_objects
from studbook.value_columns import fixed_column, moments, no_column, unsupported, variable_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from studbook.dataset_columns import TableColumn
    from studbook.dataset_tables import Table

_FLOATS = {2: "halffloat", 4: "float", 8: "double"}
_FINE_UNITS = {"s", "ms", "us", "ns"}
_COARSER_THAN_SECOND = {"h", "m"}
_COARSER_THAN_DAY = {"Y", "M", "W", "D"}
_DATE32 = np.iinfo(np.int32)


def table_of_array(data: NDArray[Any]) -> Table:
    """An array, which may be mapped from a file.

    An array of one dimension is one column, one of two dimensions has a column for each of its
    own, both named by number; one with named fields has those; one with more dimensions is one
    column of tensors.

    Raises:
        TypeError: When a type has no canonical form.
    """
    data = np.atleast_1d(_unmasked(data))
    return table_of_columns(_columns(data), len(data))


def _columns(data: NDArray[Any]) -> Iterator[TableColumn]:
    if data.dtype.names:
        if data.ndim > 1:
            message = f"An array of {data.ndim} dimensions with named fields has no canonical form."
            raise TypeError(message)
        for name in data.dtype.names:
            yield column_of_array(name, data[name])
    elif data.ndim == 2:
        for index in range(data.shape[1]):
            yield column_of_array(str(index), data[:, index])
    else:
        yield column_of_array("0", data)


def _unmasked(data: Any) -> NDArray[Any]:
    if isinstance(data, np.ma.MaskedArray):
        message = "A masked array has no canonical form; fill it, or give a frame with nulls."
        raise TypeError(message)
    return np.asarray(data)


def column_of_values(name: str, values: Any) -> TableColumn:
    """One column out of an array or a sequence of values.

    Raises:
        TypeError: When it is neither, or when its type has no canonical form.
    """
    if hasattr(values, "__array__") or isinstance(values, memoryview):
        array = _unmasked(values)
    elif isinstance(values, Sequence) and not isinstance(values, (str, bytes, bytearray)):
        array = array_of_sequence(name, values)
    else:
        raise no_column(name, values)
    if not array.ndim:
        message = f'"{name}" has 0 dimensions; a column has one or more.'
        raise TypeError(message)
    return column_of_array(name, array)


def column_of_array(
    name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None = None
) -> TableColumn:
    """One column out of an array, whose first dimension is that of the rows.

    Args:
        name: Name of the column.
        array: The values; where there are more dimensions, each row is a tensor.
        valid: Which rows have a value; None: all, but for NaT, and None and NaN among objects.

    Raises:
        TypeError: When the type has no canonical form.
    """
    kind = array.dtype.kind
    if kind in "biuf":
        type_name = _number_type(name, array)
        return fixed_column(name, (type_name, type_name), array, valid, _canonical)
    if array.ndim > 1:
        raise unsupported(name, f"{array.dtype}, in {array.ndim} dimensions")
    if kind in "Mm":
        return _time_column(name, array, valid)
    if kind in "UT":
        return variable_column(name, "string", array, valid)
    if kind == "S":
        return variable_column(name, "binary", array, valid)
    if kind == "O":
        return column_of_objects(name, array, valid)
    raise unsupported(name, str(array.dtype))


def _number_type(name: str, array: NDArray[Any]) -> str:
    """Arrow's name for a type of numbers or truth values, or of tensors of them."""
    dtype = array.dtype
    if dtype.kind == "f" and dtype.itemsize not in _FLOATS:
        raise unsupported(name, str(dtype))
    value_type = _FLOATS[dtype.itemsize] if dtype.kind == "f" else dtype.name
    if array.ndim == 1:
        return value_type
    shape = ", ".join(map(str, array.shape[1:]))
    return f"fixed_shape_tensor[value_type={value_type}, shape=[{shape}]]"


def _canonical(values: NDArray[Any]) -> NDArray[Any]:
    """In C order, the lowest byte first; truth values as 0 and 1, whatever they were made of."""
    values = np.ascontiguousarray(values)
    if values.dtype.kind != "b":
        return values.astype(values.dtype.newbyteorder("<"), copy=False)
    truths: NDArray[np.bool_] = values.view(np.uint8) != 0
    return truths


def _time_column(
    name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None, zone: str = ""
) -> TableColumn:
    unit, _ = np.datetime_data(array.dtype)
    is_moment = array.dtype.kind == "M"
    present = ~np.isnat(array) if valid is None else ~np.isnat(array) & valid
    if is_moment and unit in _COARSER_THAN_DAY:
        return _date_column(name, _in_unit(name, array, "D"), present)
    if unit in _COARSER_THAN_SECOND or (unit in _COARSER_THAN_DAY and unit not in {"Y", "M"}):
        unit = "s"
    if unit not in _FINE_UNITS:
        raise unsupported(name, str(array.dtype))
    numbers = _in_unit(name, array, unit).view("<i8")
    word = "timestamp" if is_moment else "duration"
    types = (
        (f"{word}[{unit}, tz={zone}]", f"{word}[tz={zone}]") if zone else (f"{word}[{unit}]", word)
    )
    return fixed_column(name, types, numbers, present, lambda part: moments(part, unit))


def _in_unit(name: str, array: NDArray[Any], unit: str) -> NDArray[Any]:
    """Times counted in a unit that is as fine as theirs, or finer, the lowest byte first."""
    dtype = np.dtype(f"<{array.dtype.kind}8[{unit}]")
    converted = np.ascontiguousarray(array.astype(dtype, copy=False))
    coarser = array.dtype != dtype
    # NumPy says nothing when the numbers become too large.
    if coarser and not ((converted.astype(array.dtype) == array) | np.isnat(array)).all():
        raise unsupported(name, f"{array.dtype}, with times beyond 64 bits")
    return converted


def _date_column(name: str, array: NDArray[Any], present: NDArray[np.bool_]) -> TableColumn:
    days = array.view("<i8")
    if (present & ((days < _DATE32.min) | (days > _DATE32.max))).any():
        raise unsupported(name, f"{array.dtype}, with dates beyond 32 bits")
    types = ("date32", "date32")
    return fixed_column(name, types, days, present, lambda part: part.astype("<i4"))


def moments_in_zone(name: str, array: NDArray[Any], zone: str) -> TableColumn:
    """A column of moments in UTC that are shown in a time zone."""
    return _time_column(name, array, None, zone)
