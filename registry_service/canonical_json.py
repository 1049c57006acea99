"""JSON in the one form that RFC 8785 gives it, so that the same value always has the same hash.

Numbers are whole and small enough to survive a reader that knows only doubles; fractions are not
written at all, which spares us the one difficult part of that RFC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]

_LARGEST = 2**53 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def canonical_json(value: Json) -> str:
    """The canonical text of a value.

    Raises:
        TypeError: The value holds something else than the types of `Json`.
        ValueError: A number is beyond what every reader of JSON can hold.
    """
    return _ENCODER.encode(_ordered(value))


def _ordered(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value, key=_utf16)}
    if isinstance(value, (list, tuple)):
        return [_ordered(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        message = f"{value} is too large for canonical JSON"
        raise ValueError(message)
    if value is not None and not isinstance(value, (bool, int, str)):
        message = f"{type(value).__name__} has no place in canonical JSON"
        raise TypeError(message)
    return value


def _utf16(key: str) -> bytes:
    # The RFC sorts by UTF-16 code units, Python by code points; they differ beyond U+FFFF.
    return key.encode("utf-16-be")
