"""How a run ends: from an exception, an exit code, or a signal."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from studbook.logged_values import text_of
from studbook.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

LONGEST_REASON = 4096


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        state: `finished`, `failed`, `killed` or `preempted`.
        reason: Why.
        exit_code: Exit code of the program; None when it is not known, or a signal ended it.
        signal: Name of the signal that ended it; empty without one.
    """

    state: str
    reason: str = ""
    exit_code: int | None = None
    signal: str = ""

    def as_preempted(self) -> Ending:
        """The same of a program that makes room for another."""
        return replace(self, state="preempted", reason=self.reason or "preempted")


def ending_of(error: BaseException | None, received: str = "") -> Ending:
    """How a run ends that is left with an exception, or without.

    Args:
        error: The exception.
        received: Name of the signal that the program got and handled itself, if it got one.
    """
    if received and not isinstance(error, Exception):
        return replace(ending_by_signal(received), exit_code=ending_of(error).exit_code)
    if error is None or isinstance(error, GeneratorExit):
        return Ending("finished", exit_code=0)
    if isinstance(error, KeyboardInterrupt):
        return Ending("killed", "KeyboardInterrupt", signal="SIGINT")
    if isinstance(error, SystemExit):
        return ending_with_code(error.code)
    text = "".join(traceback.format_exception_only(error)).strip()
    return Ending("failed", reason_of(text), exit_code=1)


def ending_with_code(code: Any) -> Ending:
    """How a run ends whose program calls `sys.exit` with a code."""
    if code is None or code == 0:
        return Ending("finished", exit_code=0)
    # Anything but a number is printed, and the program ends with 1.
    number = code & 0xFF if isinstance(code, int) else 1
    return Ending("failed", reason_of(f"exit code {text_of(code)}"), exit_code=number)


def reason_of(text: Any) -> str:
    """A reason as it is stored: without secrets, and not longer than the contract allows."""
    # Cut before, too: looking for secrets in a very long text takes very long.
    return text_of(without_secrets(text_of(text, 4 * LONGEST_REASON)), LONGEST_REASON)


def ending_by_signal(name: str) -> Ending:
    """How a run ends whose program got a signal.

    Slurm sends SIGTERM to jobs that it preempts; where STUDBOOK_PREEMPTIBLE is set, so does
    whatever runs the job there.
    """
    ending = Ending("killed", name, signal=name)
    announced = os.environ.get("STUDBOOK_PREEMPTIBLE", "") not in {"", "0"}
    if name == "SIGTERM" and (announced or "SLURM_JOB_ID" in os.environ):
        return ending.as_preempted()
    return ending


class ExitWatch:
    """Learns with which code the program calls `sys.exit`.

    The interpreter tells nobody about it: an exit is no error, and leaves no trace. That an exit
    was called does not mean that the program ends; what catches it goes on. But then the outermost
    frame will have moved on from where it was.
    """

    def __init__(self) -> None:
        self._original: Callable[[Any], Any] | None = None
        self._code: Any = None
        self._outermost: FrameType | None = None
        self._place = -1

    def start(self) -> None:
        """Begin to watch."""
        if self._original is None:
            self._original = sys.exit
            sys.exit = self._exit  # type: ignore[assignment]  # the same signature

    def stop(self) -> None:
        """Give back what was there before, unless somebody else has taken its place since."""
        if self._original is not None and sys.exit == self._exit:
            sys.exit = self._original  # type: ignore[assignment]  # as above
            self._original = None

    def ending(self) -> Ending | None:
        """How the program ends, when it is ending because of an exit; else None."""
        if self._outermost is None or self._outermost.f_lasti != self._place:
            return None
        return ending_with_code(self._code)

    def _exit(self, status: Any = None, /) -> None:
        frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
        while frame.f_back is not None:
            frame = frame.f_back
        self._code, self._outermost, self._place = status, frame, frame.f_lasti
        raise SystemExit(status)
