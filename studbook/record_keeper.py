"""The thread that has the disk keep what was logged, once a second.

That a process dies costs nothing of what it logged: the system has it. When the power fails, what
was logged in the last second may be lost.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.record_folder import RunFolder

_INTERVAL_S = 1.0


class RecordKeeper:
    """Synchronises the record files of a run with the disk, also those of forked processes.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._stopping = threading.Event()
        # How much of each file the disk is known to have.
        self._kept: dict[Path, int] = {}
        self._thread = threading.Thread(target=self._run, name="studbook-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for the disk."""
        self._stopping.set()

    def abandon_after_fork(self) -> None:
        """Be, in a child process, as if stopped; the parent's thread sees to the child's file."""
        self._stopping = threading.Event()

    def keep(self) -> None:
        """Synchronise what has grown since the last time."""
        kept = {}
        for path in self._folder.record_files():
            # A segment may be sent and removed at any moment.
            with suppress(OSError):
                kept[path] = self._keep(path)
        self._kept = kept

    def _keep(self, path: Path) -> int:
        size = path.stat().st_size
        if size == self._kept.get(path):
            return size
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        return size

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            self._keep_what_can_be()
        self._keep_what_can_be()

    def _keep_what_can_be(self) -> None:
        # A process may have too many files open for the moment, or its folder may be gone.
        with suppress(OSError):
            self.keep()
