"""One line on the terminal while large files are copied."""

from __future__ import annotations

import sys
import time
from typing import Self

_LARGE_BYTES = 256 * 1024 * 1024
_INTERVAL_S = 0.2


class CopyProgress:
    """Shows how far it is, when it is worth showing and standard error is a terminal.

    Args:
        what: What is copied, for people.
        total_bytes: How much it is.
    """

    def __init__(self, what: str, total_bytes: int) -> None:
        self._what = what[-60:]
        self._total = total_bytes
        self._done = 0
        self._shown_at = 0.0
        self._shows = total_bytes >= _LARGE_BYTES and sys.stderr is not None
        self._shows = self._shows and sys.stderr.isatty()

    def add(self, count: int) -> None:
        """Take note of bytes that have been copied."""
        self._done += count
        if self._shows and time.monotonic() - self._shown_at > _INTERVAL_S:
            self._shown_at = time.monotonic()
            part = 100 * self._done // self._total
            sys.stderr.write(
                f"\rStudbook: copying {self._what}: {part} % of {self._total >> 20} MiB"
            )
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
