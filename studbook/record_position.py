"""How far a chain of record files has been sent, and what the server did not want of it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from struct import Struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger("studbook")


class PositionFile:
    """How far a chain has been sent, kept so that a batch is repeated exactly or not at all.

    Before a batch of metrics is sent its end is noted; after it was acknowledged, that it was.
    So whoever continues after a crash sends the same batch under the same number. Positions count
    from the beginning of the chain's first segment.

    Attributes:
        sent: Position up to which the server has everything.
        under_way: End of the batch that was being sent; equal to `sent` when none was.
    """

    _LAYOUT = Struct("<QQ")

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = path
        self._warned = False
        self.sent = 0
        self.under_way = 0

    @classmethod
    def reserve(cls, path: Path) -> None:
        """Take the file's place on the disk, so that it can be written to when the disk is full.

        Raises:
            OSError: When it cannot be made.
        """
        file = cls(path)
        try:
            file._store(0, 0)
        finally:
            file.close()

    @classmethod
    def acquire(cls, path: Path) -> PositionFile | None:
        """Open and lock the file; None when somebody else has it.

        Raises:
            OSError: When it cannot be made.
        """
        file = cls(path)
        try:
            fcntl.flock(file._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = path.stat()
        except (BlockingIOError, FileNotFoundError):
            file.close()
            return None
        if there.st_ino != os.fstat(file._descriptor).st_ino:
            file.close()  # whoever had it has finished with it and removed it
            return None
        data = os.pread(file._descriptor, cls._LAYOUT.size + 4, 0)
        body = data[:-4]
        if len(body) == cls._LAYOUT.size and crc32(body).to_bytes(4, "little") == data[-4:]:
            file.sent, file.under_way = cls._LAYOUT.unpack(body)
        return file

    def begin(self, end: int) -> None:
        """Note that everything up to `end` is about to be sent."""
        self._save(self.sent, end)

    def done(self, end: int) -> None:
        """Note that the server has everything up to `end`."""
        self._save(end, end)

    def _save(self, sent: int, under_way: int) -> None:
        try:
            self._store(sent, under_way)
        except OSError as error:
            # Better to go on sending. Only a crash before the disk recovers would tell.
            if not self._warned:
                self._warned = True
                _log.warning("Studbook: %s cannot be written: %s.", self._path, error.strerror)
        self.sent, self.under_way = sent, under_way

    def _store(self, sent: int, under_way: int) -> None:
        body = self._LAYOUT.pack(sent, under_way)
        os.pwrite(self._descriptor, body + crc32(body).to_bytes(4, "little"), 0)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete the file, while it is still locked."""
        self._path.unlink(missing_ok=True)
        self.close()


def note_refusal(refused: Path, what: str, why: str, content: Mapping[str, Any]) -> None:
    """Keep what the server did not want, and its words, for whoever wants to know later."""
    line = json.dumps({"what": what, "why": why, **content}) + "\n"
    try:
        with refused.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        _log.warning("Studbook: %s cannot be written: %s.", refused, error.strerror or error)
