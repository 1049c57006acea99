"""Which library a piece of data is of, and whether what hashing it takes is there."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import Any

_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow", "datasets"})
# A class that builds on a frame is one. What builds on an array may be more: it may have a unit.
_WITH_SUBCLASSES = _LIBRARIES - {"numpy"}
# What brings those libraries that hashing needs.
_INSTALLED_WITH = {"numpy": "'studbook[profile]'"}
# Versions before these cannot convert all that the canonical form is made of.
_OLDEST = {"pyarrow": (18, 0), "polars": (1, 10)}


def library_of(data: Any) -> str:
    """`numpy`, `pandas`, `polars`, `pyarrow` or `datasets`; empty when it is of none of them."""
    own, *bases = (kind.__module__.partition(".")[0] for kind in type(data).__mro__)
    if own in _LIBRARIES:
        return own
    return next((base for base in bases if base in _WITH_SUBCLASSES), "")


def require_library(library: str, data: Any) -> None:
    """Make sure that a library that hashing this data takes is installed and new enough.

    Raises:
        ImportError: With what to install; ModuleNotFoundError when it is not there at all.
    """
    needs = f"Hashing {type(data).__module__}.{type(data).__qualname__} as a table needs {library}"
    if importlib.util.find_spec(library) is None:
        message = f"{needs}: `pip install {_INSTALLED_WITH.get(library, library)}`."
        raise ModuleNotFoundError(message, name=library)
    if library not in _OLDEST:
        return
    version = str(importlib.import_module(library).__version__)
    if _major_and_minor(version) < _OLDEST[library]:
        oldest = ".".join(map(str, _OLDEST[library]))
        message = f"{needs} {oldest} or newer, not {version}: `pip install --upgrade {library}`."
        raise ImportError(message, name=library)


def _major_and_minor(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)
