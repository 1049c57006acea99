"""Studbook: experiment tracking and a model registry with a gate to Production.

Importing this package loads nothing but this file; what is named in `__all__` is loaded when it
is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from studbook._version import __version__

if TYPE_CHECKING:
    from studbook.client import Client
    from studbook.dataset_reference import reference
    from studbook.exceptions import StudbookError
    from studbook.input_profile import InputProfile, profile_inputs
    from studbook.media import Histogram, Image, Table
    from studbook.model_comparison import check_inputs, compare_versions
    from studbook.run import Run, active_run, finish, init, log
    from studbook.watching import watch

__all__ = [
    "Client",
    "Histogram",
    "Image",
    "InputProfile",
    "Run",
    "StudbookError",
    "Table",
    "__version__",
    "active_run",
    "check_inputs",
    "compare_versions",
    "finish",
    "init",
    "log",
    "profile_inputs",
    "reference",
    "watch",
]

_HOMES = {
    "Client": "studbook.client",
    "Histogram": "studbook.media",
    "Image": "studbook.media",
    "InputProfile": "studbook.input_profile",
    "Run": "studbook.run",
    "StudbookError": "studbook.exceptions",
    "Table": "studbook.media",
    "active_run": "studbook.run",
    "check_inputs": "studbook.model_comparison",
    "compare_versions": "studbook.model_comparison",
    "finish": "studbook.run",
    "init": "studbook.run",
    "log": "studbook.run",
    "profile_inputs": "studbook.input_profile",
    "reference": "studbook.dataset_reference",
    "watch": "studbook.watching",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        message = f"module 'studbook' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, whether loaded or not."""
    return sorted(__all__)
