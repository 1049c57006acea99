"""JSON that means one thing only."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_strictly(text: str) -> Any:
    """Read JSON, refusing what readers disagree about.

    Raises:
        ValueError: Members that occur twice, NaN and infinities, nesting that is too deep, anything
            behind the value, or no JSON at all. The message says which.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"it has the member {json.dumps(twice)} twice"
        raise ValueError(message)
    return members


def _constant(text: str) -> NoReturn:
    message = f"{text} is not JSON"
    raise ValueError(message)
