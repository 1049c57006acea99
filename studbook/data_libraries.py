"""Which library a piece of data is of, found out without importing any of them."""

from __future__ import annotations

from typing import Any

_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow", "datasets"})
# A class that builds on a frame is one. What builds on an array may be more: it may have a unit.
_WITH_SUBCLASSES = _LIBRARIES - {"numpy"}


def library_of(data: Any) -> str:
    """`numpy`, `pandas`, `polars`, `pyarrow` or `datasets`; empty when it is of none of them."""
    own, *bases = (kind.__module__.partition(".")[0] for kind in type(data).__mro__)
    if own in _LIBRARIES:
        return own
    return next((base for base in bases if base in _WITH_SUBCLASSES), "")
