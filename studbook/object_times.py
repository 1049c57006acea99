"""Python's moments, spans and times of day as values of `table/v1`.

Those of pandas build on Python's, and have nanoseconds beside the microseconds.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.dataset_tables import MOMENT
from studbook.value_columns import moments, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAY_S = 86_400


def moments_of(name: str, values: Iterable[dt.datetime]) -> NDArray[Any]:
    """Moments without a time zone.

    Raises:
        TypeError: When one has a time zone, whose name may be spelled in many ways.
    """
    if any(value.tzinfo for value in values):
        raise unsupported(name, "object, with moments in a time zone")
    split = [
        (
            (value.toordinal() - _EPOCH) * _DAY_S + _second_of_day(value),
            value.microsecond * 1000 + getattr(value, "nanosecond", 0),
        )
        for value in values
    ]
    return np.array(split, dtype=MOMENT)


def spans_of(_name: str, values: Iterable[dt.timedelta]) -> NDArray[Any]:
    """Spans of time."""
    split = [
        (
            value.days * _DAY_S + value.seconds,
            value.microseconds * 1000 + getattr(value, "nanoseconds", 0),
        )
        for value in values
    ]
    return np.array(split, dtype=MOMENT)


def times_of_day(name: str, values: Iterable[dt.time]) -> NDArray[Any]:
    """Times of day.

    Raises:
        TypeError: When one has a time zone.
    """
    if any(value.tzinfo for value in values):
        raise unsupported(name, "object, with times of day in a time zone")
    numbers = [_second_of_day(value) * 10**6 + value.microsecond for value in values]
    return moments(np.array(numbers, dtype="<i8"), "us")


def _second_of_day(value: dt.datetime | dt.time) -> int:
    return (value.hour * 60 + value.minute) * 60 + value.second


TIMES: dict[str, Callable[[str, Any], NDArray[Any]]] = {
    "timestamp[us]": moments_of,
    "duration[us]": spans_of,
    "time64[us]": times_of_day,
}
