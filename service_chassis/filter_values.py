"""Reads the values in filters: numbers, timestamps and the like.

Each function returns the value in the form in which it is stored, or raises ValueError that says
what was expected.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.filter_text import Literal

_NUMBER = re.compile(
    r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE
)
_INFINITY = re.compile(r"[+-]?inf", re.IGNORECASE)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2}))?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = 2**63
# Whole numbers up to here are the same as floating-point numbers.
EXACT = 2.0**53
_UNSET = "UNSPECIFIED"


def number_or_none(value: Literal) -> float | None:
    """A number or `inf`, if the value is one and not in quotes."""
    if value.quoted or not (_NUMBER.fullmatch(value.text) or _INFINITY.fullmatch(value.text)):
        return None
    return float(value.text)


def exact_whole(value: Literal, rounded: float) -> int:
    """The whole number that a large number stands for.

    Args:
        value: A number as written.
        rounded: The same as a finite double of 2**53 or more, or the negative of such.
    """
    digits = value.text.lstrip("+-")
    return int(value.text) if digits.isdecimal() else int(rounded)


def read_number(value: Literal) -> float:
    """A number or `inf`."""
    number = number_or_none(value)
    if number is None:
        message = "a number without quotes"
        raise ValueError(message)
    return number


def read_integer(value: Literal) -> int:
    """A whole number of 64 bits, also written `1e6`."""
    if value.quoted or not _NUMBER.fullmatch(value.text):
        message = "a whole number without quotes"
        raise ValueError(message)
    exact = Decimal(value.text)
    # Compared before the conversion, which would write out all digits of 1e9999.
    if not -_INT64 <= exact < _INT64 or exact != exact.to_integral_value():
        message = "a whole number of at most 64 bits"
        raise ValueError(message)
    return int(exact)


def read_boolean(value: Literal) -> bool:
    """`true` or `false`."""
    word = value.text.lower()
    if value.quoted or word not in {"true", "false"}:
        message = "true or false"
        raise ValueError(message)
    return word == "true"


def read_timestamp(value: Literal) -> int:
    """Microseconds since 1970 of an RFC 3339 timestamp; of midnight UTC for a date alone.

    Digits beyond microseconds are dropped, as they are when timestamps are stored.
    """
    match = _TIMESTAMP.fullmatch(value.text)
    message = "a timestamp such as 2026-03-01T14:05:00Z"
    if match is None:
        raise ValueError(message)
    day, time, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00:00'}{(zone or 'Z').upper()}")
    except ValueError as error:
        raise ValueError(message) from error
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000 + int((fraction or "0").ljust(9, "0")) // 1000


def read_enum(value: Literal, values: Mapping[str, int]) -> int:
    """The number of a protobuf enum's name, upper or lower case, with or without its prefix."""
    numbers = {name.upper(): number for name, number in values.items()}
    unset = next((name for name in numbers if name.endswith(f"_{_UNSET}")), "")
    prefix = unset.removesuffix(_UNSET)
    name = value.text.upper()
    for candidate in (name, prefix + name):
        if candidate in numbers:
            return numbers[candidate]
    known = [name.removeprefix(prefix) for name, number in numbers.items() if number]
    message = "one of " + ", ".join(known)
    raise ValueError(message)
