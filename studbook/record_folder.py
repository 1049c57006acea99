"""Where the records of runs lie on this machine.

{root}/{run}-{digest of its name}/
    {writer}.records     what one process logged; locked while that process writes
    {writer}.position    how much of it the server has; locked by whoever sends
    {writer}.refused     what the server did not want, one JSON object a line
    files/{hex digest}   copies of logged files that are still to be sent
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

from studbook.file_digests import READ_BYTES, FileState, HashedFile, prefixed, state_of
from studbook.record_log import read_records
from studbook.run_records import RunStart, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = ".records"


def records_root() -> Path:
    """The folder for the records of all runs: STUDBOOK_DIR, else below the user's data folder."""
    if configured := os.environ.get("STUDBOOK_DIR"):
        return Path(configured).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "studbook" / "runs"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @staticmethod
    def of(run: str, root: Path) -> RunFolder:
        """The folder of a run, by its resource name; it need not exist."""
        # The names of workspace, experiment and run together can be longer than a file's name.
        digest = hashlib.sha256(run.encode()).hexdigest()[:16]
        return RunFolder(root / f"{run.rpartition('/')[2][:64]}-{digest}")

    def make(self) -> None:
        """Create the folder, readable by its owner alone.

        Raises:
            OSError: When it cannot be created.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def records_of(self, writer: str) -> Path:
        """The record file of a writer."""
        return self.path / f"{writer}{RECORDS}"

    def record_files(self) -> list[Path]:
        """All record files: those of forked workers first, then by age.

        What a worker logged has to arrive before the end, after which the run takes no more.
        """
        return sorted(self.path.glob(f"*{RECORDS}"), key=_place)

    def stage(self, source: Path) -> HashedFile:
        """Copy a file into the folder, hashing it on the way.

        Raises:
            OSError: When it cannot be read or the copy cannot be written.
        """
        staged = self._files()
        total = hashlib.sha256()
        descriptor, temporary = tempfile.mkstemp(dir=staged, prefix=".", suffix=".part")
        try:
            with source.open("rb", buffering=0) as file, os.fdopen(descriptor, "wb") as copy:
                while block := file.read(READ_BYTES):
                    total.update(block)
                    copy.write(block)
            return self._keep(Path(temporary), total.hexdigest())
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def stage_bytes(self, data: bytes) -> HashedFile:
        """Write bytes to a file in the folder.

        Raises:
            OSError: When it cannot be written.
        """
        descriptor, temporary = tempfile.mkstemp(dir=self._files(), prefix=".", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as copy:
                copy.write(data)
            return self._keep(Path(temporary), hashlib.sha256(data).hexdigest())
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _files(self) -> Path:
        files = self.path / "files"
        files.mkdir(mode=0o700, parents=True, exist_ok=True)
        return files

    def _keep(self, temporary: Path, hex_digest: str) -> HashedFile:
        target = self._files() / hex_digest
        temporary.rename(target)
        return HashedFile(target, prefixed(hex_digest), _state(target))

    def remove_if_empty(self) -> None:
        """Remove the folder when no record file is left in it."""
        if any(self.path.glob(f"*{RECORDS}")):
            return
        for folder in (self.path / "files", self.path):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return  # something is left in it that somebody may want


def _state(path: Path) -> FileState:
    with path.open("rb") as file:
        return state_of(file.fileno())


def run_folders(root: Path) -> list[RunFolder]:
    """The folders of all runs that have records."""
    folders = {path.parent for path in root.glob(f"*/*{RECORDS}")}
    return [RunFolder(path) for path in sorted(folders)]


def read_start(records: Path) -> RunStart | None:
    """The first record of a file; None when the writer died before it was whole."""
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


def _place(records: Path) -> tuple[bool, int, str]:
    start = read_start(records)
    if start is None:
        return False, 0, records.name
    return not start.attached, start.start_time_us, records.name


def is_written(records: Path) -> bool:
    """Whether the process that writes a record file is alive and not done with it."""
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


class PositionFile:
    """How far a record file has been sent, kept so that a batch is repeated exactly or not at all.

    Before a batch of metrics is sent its end is noted; after it was acknowledged, that it was.
    So whoever continues after a crash sends the same batch under the same number.

    Attributes:
        sent: Offset up to which the server has everything.
        under_way: End of the batch that was being sent; equal to `sent` when none was.
    """

    _LAYOUT = Struct("<QQ")

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = path
        self.sent = 0
        self.under_way = 0

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
        body = self._LAYOUT.pack(sent, under_way)
        os.pwrite(self._descriptor, body + crc32(body).to_bytes(4, "little"), 0)
        os.fdatasync(self._descriptor)
        self.sent, self.under_way = sent, under_way

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete the file, while it is still locked."""
        self._path.unlink(missing_ok=True)
        self.close()


def note_refusal(records: Path, what: str, why: str) -> None:
    """Keep what the server did not want, for whoever wants to know later."""
    line = json.dumps({"what": what, "why": why}) + "\n"
    with records.with_suffix(".refused").open("a", encoding="utf-8") as file:
        file.write(line)


def read_refusals(records: Path) -> Iterator[tuple[str, str]]:
    """What was refused of a record file, and why."""
    try:
        text = records.with_suffix(".refused").read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        entry = json.loads(line)
        yield entry["what"], entry["why"]
