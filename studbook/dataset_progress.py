"""Telling a person at a terminal how far the reading of a dataset has come."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

# What is done sooner needs no words.
_SILENT_S = 1.0
_BETWEEN_S = 0.2
_UNITS = ("B", "kB", "MB", "GB", "TB")
_MOST_PER_UNIT = 1000


class Progress:
    """One line on stderr that is written over, and gone when the reading is done.

    Nothing is written when stderr is no terminal. May be told from several threads.

    Args:
        what: What is read, for people.
        total: Units there are in all; -1 when that is not known.
        rows: Units are rows; default: bytes.
        stream: Where to write; default: stderr.
    """

    def __init__(
        self, what: str, total: int = -1, *, rows: bool = False, stream: TextIO | None = None
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._shown = self._stream is not None and self._stream.isatty()
        self._what = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in what)
        self._total = total
        self._rows = rows
        self._done = 0
        self._next = time.monotonic() + _SILENT_S
        self._width = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._width:
                self._write("")

    def add(self, units: int) -> None:
        """So much more is done."""
        with self._lock:
            self._done += units
            if self._shown and time.monotonic() >= self._next:
                self._next = time.monotonic() + _BETWEEN_S
                self._write(self._line())

    def _line(self) -> str:
        whole = f" of {self._amount(self._total)}" if self._total >= 0 else ""
        return f"Reading {self._what}: {self._amount(self._done)}{whole}"

    def _amount(self, units: int) -> str:
        if self._rows:
            return f"{units:,} rows".replace(",", " ")
        amount, unit = float(units), 0
        while amount >= _MOST_PER_UNIT and unit < len(_UNITS) - 1:
            amount, unit = amount / _MOST_PER_UNIT, unit + 1
        return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{units} B"

    def _write(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width) + ("" if line else "\r"))
        self._stream.flush()
        self._width = len(line)
