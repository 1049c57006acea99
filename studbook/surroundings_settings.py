"""What a run is to record by itself: arguments of `studbook.init` and environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

_Number = TypeVar("_Number", int, float)
_WORDS = {"on": True, "true": True, "1": True, "yes": True}
_WORDS |= {"off": False, "false": False, "0": False, "no": False}
_LEAST_INTERVAL_S = 0.1
_LEAST_CONSOLE_BYTES = 10_000


@dataclass(frozen=True)
class SurroundingsSettings:
    """What to record.

    Attributes:
        system_metrics: Whether the load of the machine is.
        interval_s: How often it is, in seconds.
        code_patch: Whether the difference from the commit is stored, not only its digest.
        console: Whether what the program prints is.
        console_bytes: How much of that at most; of more, beginning and end are kept.
        console_interval_s: How often that is sent while the program runs, in seconds.
    """

    system_metrics: bool = True
    interval_s: float = 15.0
    code_patch: bool = True
    console: bool = False
    console_bytes: int = 10_000_000
    console_interval_s: float = 60.0


def read_settings(
    *, system_metrics: bool | None = None, console: bool | None = None
) -> SurroundingsSettings:
    """Settings from the arguments of `studbook.init`, else from STUDBOOK_... variables.

    Raises:
        InvalidArgument: When a variable is malformed.
    """
    standard = SurroundingsSettings()
    return SurroundingsSettings(
        system_metrics=_switch("STUDBOOK_SYSTEM_METRICS", system_metrics, standard.system_metrics),
        interval_s=_number(
            "STUDBOOK_SYSTEM_METRICS_INTERVAL", float, standard.interval_s, _LEAST_INTERVAL_S
        ),
        code_patch=_switch("STUDBOOK_CODE_PATCH", None, standard.code_patch),
        console=_switch("STUDBOOK_CONSOLE", console, standard.console),
        console_bytes=_number(
            "STUDBOOK_CONSOLE_BYTES", int, standard.console_bytes, _LEAST_CONSOLE_BYTES
        ),
        console_interval_s=_number(
            "STUDBOOK_CONSOLE_INTERVAL", float, standard.console_interval_s, _LEAST_INTERVAL_S
        ),
    )


def _switch(variable: str, argument: bool | None, standard: bool) -> bool:  # noqa: FBT001 - of one
    if argument is not None:
        return argument
    text = os.environ.get(variable, "").strip().lower()
    if not text:
        return standard
    if text not in _WORDS:
        message = f'{variable} is "{text[:80]}"; give on or off.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return _WORDS[text]


def _number(
    variable: str, read: Callable[[str], _Number], standard: _Number, least: _Number
) -> _Number:
    text = os.environ.get(variable, "").strip()
    if not text:
        return standard
    try:
        number = read(text)
    except ValueError:
        number = least - 1
    if not least <= number < float("inf"):
        message = f'{variable} is "{text[:80]}"; give a number that is at least {least}.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return number
