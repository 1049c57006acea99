"""Decimal numbers as `table/v1` has them: as text, one text for each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


def canonical_decimal(value: Decimal) -> bytes:
    """The number in plain digits: `-12.5`, `0`, `1000`; no exponent, no zeros that add nothing.

    Raises:
        ValueError: When it is NaN or infinite.
    """
    if not value.is_finite():
        message = f"{value} is not a decimal number that has a canonical form."
        raise ValueError(message)
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return b"0" if text == "-0" else text.encode()
