"""Where the records of runs lie on this machine.

{root}/{run}-{digest of its name}/
    {writer}.records            what one process logged; locked while that process writes
    {writer}.{number}.records   how it goes on: the chain's segments after the first
    {writer}.position           how much of it the server has; locked by whoever sends
    {writer}.reserve            room for the run's last record, should the disk be full then
    {writer}.refused            what the server did not want, one JSON object a line
    files/{hex digest}          copies of logged files that are still to be sent
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.exceptions import Conflict
from studbook.file_digests import READ_BYTES, FileState, HashedFile, prefixed, state_of
from studbook.record_chain import RECORDS, REFUSED, RecordChain, read_start, writer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

# The ioctl that makes a file share another's blocks; the same number on all of Linux.
_FICLONE = 0x40049409
_COPY_ATTEMPTS = 3


def records_root() -> Path:
    """The folder for the records of all runs: STUDBOOK_DIR, else below the user's data folder.

    Raises:
        OSError: When it cannot be told where that is, because there is no home folder, or because
            the current folder is gone.
    """
    try:
        if configured := os.environ.get("STUDBOOK_DIR"):
            return Path(configured).expanduser().absolute()
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError as error:  # what pathlib raises where a user has no home folder
        raise OSError(errno.ENOENT, "no home folder is known; set HOME or STUDBOOK_DIR") from error
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

    def chain(self, writer: str) -> RecordChain:
        """The record files of a writer."""
        return RecordChain(self.path, writer)

    def chains(self) -> list[RecordChain]:
        """What each process wrote: forked workers first, then by age.

        What a worker logged has to arrive before the end, after which the run takes no more.
        """
        # One segment of each, found in one go, as there may be hundreds of workers; all segments of
        # a chain begin alike.
        segments = {writer_of(path): path for path in self.record_files()}
        places = {self.chain(writer): path for writer, path in segments.items()}
        return sorted(places, key=lambda chain: _place(chain, places[chain]))

    def record_files(self) -> list[Path]:
        """The files of all chains, in no particular order."""
        return list(self.path.glob(f"*{RECORDS}"))

    def stage(self, source: Path, on_bytes: Callable[[int], None] | None = None) -> HashedFile:
        """Copy a file into the folder, hashing it on the way.

        Where the file system can, the copy shares the file's blocks until either changes.

        Args:
            source: The file.
            on_bytes: Told the number of bytes after each block.

        Raises:
            Conflict: When it changes while it is copied, again and again.
            OSError: When it cannot be read or the copy cannot be written.
        """
        descriptor, temporary = tempfile.mkstemp(dir=self._files(), prefix=".", suffix=".part")
        try:
            with source.open("rb", buffering=0) as file, os.fdopen(descriptor, "w+b", 0) as copy:
                digest = _copy_hashing(source, file, copy, on_bytes or (lambda _count: None))
            return self._keep(Path(temporary), digest)
        except (OSError, Conflict):
            Path(temporary).unlink(missing_ok=True)
            raise

    def stage_bytes(self, data: bytes) -> HashedFile:
        """Write bytes to a file in the folder.

        Raises:
            OSError: When it cannot be written.
        """
        descriptor, temporary = tempfile.mkstemp(dir=self._files(), prefix=".", suffix=".part")
        try:
            with os.fdopen(descriptor, "w+b", 0) as copy:
                _write_all(copy, data)
            return self._keep(Path(temporary), hashlib.sha256(data).hexdigest())
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def staged(self, digest: str) -> Path:
        """Where the copy of a file with a digest is, wherever the folder was moved to."""
        return self.path / "files" / digest.rpartition(":")[2]

    def _files(self) -> Path:
        files = self.path / "files"
        files.mkdir(mode=0o700, parents=True, exist_ok=True)
        return files

    def _keep(self, temporary: Path, hex_digest: str) -> HashedFile:
        target = self._files() / hex_digest
        state = _state(temporary)
        # The same bytes may be on their way to the server, and must not change under its hands.
        # Should they be gone a moment later, then the server has them.
        if target.exists():
            temporary.unlink()
        else:
            temporary.rename(target)
        return HashedFile(target, prefixed(hex_digest), state)

    def remove_if_empty(self) -> None:
        """Remove the folder when no record file is left in it, and nothing that was refused."""
        if any(self.path.glob(f"*{RECORDS}")):
            return
        # What a process was killed over before it could write a record.
        leftovers = ["*.position", "*.reserve"]
        if not any(self.path.glob(f"*{REFUSED}")):
            leftovers.append("files/*")
        for pattern in leftovers:
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)
        for folder in (self.path / "files", self.path):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return  # something is left in it that somebody may want


def _copy_hashing(path: Path, source: FileIO, copy: FileIO, on_bytes: Callable[[int], None]) -> str:
    """Copy a file as it was at one moment, not half before a change and half after it."""
    if _is_cloned(source, copy):
        # The source may change at any moment; the copy is what counts.
        return _hash_of(copy, state_of(copy.fileno()).size, on_bytes)
    for _ in range(_COPY_ATTEMPTS):
        before = state_of(source.fileno())
        # No further than that, or the copying of a file that grows would never end.
        digest = _hash_of(source, before.size, on_bytes, copy)
        if state_of(source.fileno()) == before:
            return digest
        source.seek(0)
        copy.seek(0)
        copy.truncate()
    message = f"{path} changed while it was copied, {_COPY_ATTEMPTS} times; it was not logged."
    raise Conflict(
        message,
        metadata={"resource": str(path)},
        next_step="Log the file when it is complete, or write to another file and rename it.",
    )


def _is_cloned(source: FileIO, copy: FileIO) -> bool:
    with suppress(OSError):
        fcntl.ioctl(copy.fileno(), _FICLONE, source.fileno())
        return True
    return False


def _hash_of(
    file: FileIO, size: int, on_bytes: Callable[[int], None], copy: FileIO | None = None
) -> str:
    total = hashlib.sha256()
    while block := file.read(min(READ_BYTES, size)):
        total.update(block)
        if copy is not None:
            _write_all(copy, block)
        size -= len(block)
        on_bytes(len(block))
    return total.hexdigest()


def _write_all(copy: FileIO, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[copy.write(rest) :]


def _state(path: Path) -> FileState:
    with path.open("rb") as file:
        return state_of(file.fileno())


def run_folders(root: Path) -> list[RunFolder]:
    """The folders of all runs that have records."""
    folders = {path.parent for path in root.glob(f"*/*{RECORDS}")}
    return [RunFolder(path) for path in sorted(folders)]


def _place(chain: RecordChain, segment: Path) -> tuple[bool, int, str]:
    start = read_start(segment) or chain.start()
    if start is None:
        return False, 0, chain.writer
    return not start.attached, start.start_time_us, chain.writer
