"""Which library a piece of data is of, and whether what it takes is there, without an import."""

from __future__ import annotations

import importlib.util
from typing import Any

_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow", "datasets"})
# A class that builds on a frame is one. What builds on an array may be more: it may have a unit.
_WITH_SUBCLASSES = _LIBRARIES - {"numpy"}
# What brings those libraries that hashing needs.
_INSTALLED_WITH = {"numpy": "'studbook[profile]'", "pyarrow": "pyarrow"}


def library_of(data: Any) -> str:
    """`numpy`, `pandas`, `polars`, `pyarrow` or `datasets`; empty when it is of none of them."""
    own, *bases = (kind.__module__.partition(".")[0] for kind in type(data).__mro__)
    if own in _LIBRARIES:
        return own
    return next((base for base in bases if base in _WITH_SUBCLASSES), "")


def require_library(library: str, data: Any) -> None:
    """Make sure that the library is installed that hashing this data takes: numpy or pyarrow.

    Raises:
        ModuleNotFoundError: With what to install.
    """
    if importlib.util.find_spec(library) is None:
        message = (
            f"Hashing {type(data).__module__}.{type(data).__qualname__} as a table needs "
            f"{library}: `pip install {_INSTALLED_WITH[library]}`."
        )
        raise ModuleNotFoundError(message, name=library)
