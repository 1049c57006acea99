"""Keeps the collection of files that nobody has apart from uploads, across all processes.

Files lie on shelves, by the first two digits of their digests. An upload uses a shelf from before
its file appears there until it is recorded who has it. Collection closes a shelf while it looks
which files somebody has and removes the others. Many uploads use a shelf at once; a shelf that is
in use cannot be closed, and one that is closed is soon open again.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHELVES = tuple(f"{number:02x}" for number in range(256))


class Shelf:
    """A lock on one shelf; a process that dies lets go of it.

    Args:
        lock: The file that is locked; made if need be.
    """

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._descriptor: int | None = None

    def use(self) -> None:
        """Put a file there; waits while the shelf is closed.

        Raises:
            OSError: The lock cannot be used.
        """
        fcntl.flock(self._open(), fcntl.LOCK_SH)

    def try_to_close(self) -> bool:
        """Have it to oneself; False when it is in use.

        Raises:
            OSError: The lock cannot be used.
        """
        with suppress(BlockingIOError):
            fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def release(self) -> None:
        """Let go, if it was held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._descriptor


class Collection:
    """A shelf that is closed to all others.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remove(self, digests: Iterable[str]) -> tuple[int, int]:
        """Delete files that nobody has; whoever is reading one can go on.

        Returns:
            How many there were, and how many bytes.

        Raises:
            OSError: They cannot be deleted.
        """
        files = size = 0
        for digest in digests:
            path = self._folder / digest
            with suppress(FileNotFoundError):
                size += path.stat().st_size
                path.unlink()
                files += 1
        return files, size
