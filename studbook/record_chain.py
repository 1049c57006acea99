"""What one process has written about a run: a chain of record files, its segments, in order."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from studbook.record_log import RecordWriter, read_records
from studbook.record_position import PositionFile
from studbook.run_records import RunStart, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = ".records"
REFUSED = ".refused"
# As much as the longest reason of an end takes.
_RESERVE_BYTES = 32 * 1024


@dataclass(frozen=True)
class RecordChain:
    """The record files of one writer in a run's folder.

    Attributes:
        folder: The run's folder.
        writer: Id of the writer; the files' names begin with it.
    """

    folder: Path
    writer: str

    def segment(self, number: int) -> Path:
        """Path of a segment; the first has the number 0."""
        place = f".{number:06d}" if number else ""
        return self.folder / f"{self.writer}{place}{RECORDS}"

    def segments(self) -> list[Path]:
        """The segments that there are, in order."""
        return sorted(
            (
                path
                for path in self.folder.glob(f"{self.writer}*{RECORDS}")
                if writer_of(path) == self.writer
            ),
            key=_number,
        )

    @property
    def position(self) -> Path:
        """The file that says how far the chain has been sent; locked by whoever sends."""
        return self.folder / f"{self.writer}.position"

    @property
    def refused(self) -> Path:
        """The file with what the server did not want, one JSON object a line."""
        return self.folder / f"{self.writer}{REFUSED}"

    @property
    def _reserve(self) -> Path:
        return self.folder / f"{self.writer}.reserve"

    def free_reserve(self) -> None:
        """Give back the room that was kept for the last record."""
        with suppress(OSError):
            self._reserve.unlink()

    def start(self) -> RunStart | None:
        """The first record of the oldest segment; None when its writer died before it was whole."""
        segments = self.segments()
        return read_start(segments[0]) if segments else None

    def is_written(self, last_known: int = 0) -> bool:
        """Whether the process that writes the chain is alive and not done with it.

        Args:
            last_known: Number of the last segment that is known, which is looked at first.
        """
        if _is_locked(self.segment(last_known)):
            return True
        while segments := self.segments():
            if any(_is_locked(path) for path in segments):
                return True
            # Between listing and looking the writer may have gone on in a next segment.
            if self.segments() == segments:
                return False
        return False

    def remove(self) -> None:
        """Delete all segments."""
        self.free_reserve()
        for path in self.segments():
            path.unlink(missing_ok=True)
        for beginning in self.folder.glob(f".{self.writer}*.new"):
            beginning.unlink(missing_ok=True)

    def open(self, start: RunStart, segment_bytes: int) -> RecordWriter:
        """Begin the chain.

        Args:
            start: Its first record; each segment begins with it.
            segment_bytes: How long a segment gets before the next one is begun.

        Raises:
            OSError: When a file cannot be made.
        """

        def next_segment(number: int, base: int) -> tuple[Path, int, bytes]:
            continued = replace(start, segment=number, base=base)
            return self.segment(number), *encode(continued)

        try:
            PositionFile.reserve(self.position)
            if not start.attached:
                # The run may end because the disk is full; that is to be known, too.
                self._reserve.write_bytes(bytes(_RESERVE_BYTES))
            return RecordWriter(
                self.segment(0),
                *encode(start),
                next_segment=next_segment,
                segment_bytes=segment_bytes,
            )
        except OSError:
            self.position.unlink(missing_ok=True)
            self.free_reserve()
            raise


def writer_of(records: Path) -> str:
    """The id of the writer of a record file."""
    return records.name.partition(".")[0]


def _number(records: Path) -> int:
    place = records.name.removesuffix(RECORDS).partition(".")[2]
    return int(place) if place.isdigit() else 0


def read_start(records: Path) -> RunStart | None:
    """The first record of a file; None when it is gone, or its writer died before it was whole."""
    try:
        descriptor = os.open(records, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        first = next(read_records(descriptor), None)
    finally:
        os.close(descriptor)
    start = decode(first.kind, first.body) if first else None
    return start if isinstance(start, RunStart) else None


def _is_locked(records: Path) -> bool:
    try:
        descriptor = os.open(records, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
