"""Python objects as columns of `table/v1`: what lies in lists, and in object columns of frames.

All values of a column are of one type. NumPy's own guess is not asked, because it is lossy: it
turns numbers beside texts into texts, and takes zero bytes off the end of texts and bytes.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.object_times import TIMES
from studbook.value_columns import (
    fixed_column,
    is_missing,
    unsupported,
    variable_column,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from studbook.dataset_columns import TableColumn

_EPOCH = dt.date(1970, 1, 1)
# Whole numbers up to here are doubles, too.
_LARGEST_EXACT = 2**53
_MOST_DIGITS = 1000


def array_of_sequence(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """A list of values as an array, without a loss.

    Raises:
        TypeError: When they are times that no unit has room for all of.
    """
    types = set(map(type, values))
    if len(types) == 1 and issubclass(min(types, key=str), (np.number, np.bool_, np.datetime64)):
        return _array_of_scalars(name, values)
    # A list such as [1, 2.5, None] is one of numbers, as long as no whole number is rounded.
    if types >= {float, int} and types <= {float, int, type(None)} and _all_exact(values):
        values = [float(value) if type(value) is int else value for value in values]
        types -= {int}
    if types == {float}:
        return np.array(values, dtype="<f8")
    return np.fromiter(values, dtype=object, count=len(values))


def _array_of_scalars(name: str, values: Sequence[Any]) -> NDArray[Any]:
    array = np.array(values)
    # Times of several units get the finest of these, in which not all of them may have room. NumPy
    # says nothing, and makes other times of them.
    if len({value.dtype for value in values}) > 1 and not all(
        np.isnat(value) or kept.astype(value.dtype) == value
        for value, kept in zip(values, array, strict=True)
    ):
        raise unsupported(name, f"{array.dtype}, with times beyond 64 bits")
    return array


def _all_exact(values: Iterable[Any]) -> bool:
    """Whether no whole number among these would be rounded to a double."""
    return all(abs(value) <= _LARGEST_EXACT for value in values if type(value) is int)


def column_of_objects(
    name: str, array: NDArray[Any], valid: NDArray[np.bool_] | None
) -> TableColumn:
    """A column of Python objects, of the type that all its values are of.

    Raises:
        TypeError: When they are of several types, or of one without a canonical form.
    """
    there = np.fromiter((not is_missing(value) for value in array), np.bool_, count=len(array))
    if valid is not None:
        there &= valid
    present = array[there]
    type_name = _type_of(name, present)
    if type_name == "decimal":
        _check_decimals(name, present)
    if type_name in {"null", "string", "binary", "decimal"}:
        return variable_column(name, type_name, array, there)
    if type_name in TIMES:
        types = (type_name, type_name.partition("[")[0].removesuffix("64"))
        split = _scattered(TIMES[type_name](name, present), there)
        return fixed_column(name, types, split, there)
    stored = _stored(name, type_name, present)
    type_name = "uint64" if stored.dtype.kind == "u" else type_name
    return fixed_column(name, (type_name, type_name), _scattered(stored, there), there)


def _type_of(name: str, present: Iterable[Any]) -> str:
    """Arrow's name for the type of the values."""
    kinds = set(map(type, present))
    found = {_type_of_kind(kind) for kind in kinds}
    if not found:
        return "null"
    if len(found) > 1 or found == {""}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise unsupported(name, f"object, with values of {names}")
    return found.pop()


def _type_of_kind(kind: type) -> str:
    # A long double has bits that a double has no room for. A span of NumPy's is a whole number to
    # it, which says nothing without its unit.
    if issubclass(kind, (np.longdouble, np.timedelta64)):
        return ""
    return next((name for types, name in _TYPES if issubclass(kind, types)), "")


# Truth values come first, since Python's are whole numbers as well.
_TYPES: tuple[tuple[tuple[type, ...], str], ...] = (
    ((str,), "string"),
    ((bytes, bytearray), "binary"),
    ((bool, np.bool_), "bool"),
    ((int, np.integer), "int64"),
    ((float, np.floating), "double"),
    # A datetime is a date to Python, but has a time of day that must not be lost.
    ((dt.datetime,), "timestamp[us]"),
    ((dt.date,), "date32"),
    ((dt.timedelta,), "duration[us]"),
    ((dt.time,), "time64[us]"),
    ((Decimal,), "decimal"),
)


def _stored(name: str, type_name: str, present: NDArray[Any]) -> NDArray[Any]:
    if type_name == "date32":
        return np.array([(value - _EPOCH).days for value in present], dtype="<i4")
    if type_name == "bool":
        return present.astype("|b1")
    if type_name == "double":
        return present.astype("<f8")
    # NumPy's own numbers wrap around without a word when they are made into another type.
    numbers = [int(value) for value in present]
    large = max(numbers) >= 2**63
    if max(numbers) >= 2**64 or min(numbers) < (0 if large else -(2**63)):
        raise unsupported(name, "object, with whole numbers beyond 64 bits")
    return np.array(numbers, dtype="<u8" if large else "<i8")


def _scattered(values: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[Any]:
    """A value for each row, from those of the rows that have one."""
    if there.all():
        return values
    rows = np.zeros(len(there), dtype=values.dtype)
    rows[there] = values
    return rows


def _check_decimals(name: str, present: Iterable[Decimal]) -> None:
    for value in present:
        if not value.is_finite():
            raise unsupported(name, "object, with infinite decimals")
        exponent = value.as_tuple().exponent
        if value.adjusted() > _MOST_DIGITS or int(exponent) < -_MOST_DIGITS:
            raise unsupported(name, f"object, with decimals of more than {_MOST_DIGITS} digits")
