"""Reading and writing large files so that the disk works from the first byte on.

Left to itself the system keeps what was read and written in memory. It begins to write to the disk
when there is very much of it, or when a sync waits for all of it; and a file larger than all else
drives out of memory what programs use. Here the system is asked to begin writing after every few
megabytes, so that the sync at the end, which stays as necessary as ever, finds little left to do.
And of large files it is asked to drop what has passed.
"""

from __future__ import annotations

import os

LARGE_BYTES = 64 * 1024 * 1024
"""Files beyond this pass through memory; smaller ones may stay there."""

# Large enough that the system is not asked too often, small against what moves in a second.
_BURST_BYTES = 8 * 1024 * 1024
# By the time that so much more was written, the disk has usually done with a burst.
_BEHIND_BYTES = 32 * 1024 * 1024


class SteadyWriter:
    """Writes a file from some position on, piece after piece.

    Args:
        descriptor: The file, open for writing.
        position: Where the first byte goes.
        size: How large the file will be.

    Attributes:
        position: Where the next byte goes.
    """

    def __init__(self, descriptor: int, position: int, size: int) -> None:
        self.position = position
        self._descriptor = descriptor
        self._passes = size > LARGE_BYTES
        self._begun = position

    def write(self, data: memoryview) -> int:
        """Write at least one byte, perhaps not all; returns how many.

        Raises:
            OSError: When none could be written.
        """
        count = os.pwrite(self._descriptor, data, self.position)
        self.position += count
        length = self.position - self._begun
        if length >= _BURST_BYTES:
            # Bytes that are not on the disk yet are written, and stay in memory meanwhile.
            _not_needed(self._descriptor, self._begun, length)
            if self._passes and self._begun >= _BEHIND_BYTES:
                _not_needed(self._descriptor, self._begun - _BEHIND_BYTES, length)
            self._begun = self.position
        return count

    def write_all(self, data: memoryview) -> None:
        """Write everything.

        Raises:
            OSError: When that is not possible; `position` says how far it went.
        """
        while data:
            data = data[self.write(data) :]


class PassingBytes:
    """Drops from memory what has been read of a large file.

    Args:
        descriptor: The file.
        offset: Where reading begins.
        count: How many bytes will be read.
    """

    def __init__(self, descriptor: int, offset: int, count: int) -> None:
        self._descriptor = descriptor
        self._dropped = offset
        self._passes = count > LARGE_BYTES

    def read_up_to(self, offset: int) -> None:
        """Everything before this offset has been read."""
        length = offset - self._dropped
        if self._passes and length >= _BURST_BYTES:
            _not_needed(self._descriptor, self._dropped, length)
            self._dropped = offset


def _not_needed(descriptor: int, offset: int, length: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
