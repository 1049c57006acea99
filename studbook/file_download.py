"""Receiving the bytes of one file."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING

from studbook.bulk_data import PIECE_BYTES
from studbook.disk_traffic import SteadyWriter
from studbook.exceptions import InvalidArgument, StudbookError, Unavailable, VerificationFailed
from studbook.file_digests import READ_BYTES, hex_of, prefixed
from studbook.safe_paths import folder_for, unfinished_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from studbook.patience import Patience

_PIECES_AHEAD = 4


@dataclass(frozen=True)
class Part:
    """A file to be received: its path below the target folder, its digest and size."""

    path: str
    digest: str
    size: int


def receive(
    folder: Path,
    part: Part,
    source: Callable[[int], Iterator[bytes | memoryview]],
    *,
    patience: Patience,
    on_position: Callable[[int], None] | None = None,
) -> Path:
    """Write one file below a folder, so that it is seen whole and right or not at all.

    The bytes go to a temporary name; there an attempt that was cut off goes on.

    Args:
        folder: Target folder; made when missing.
        part: What is expected.
        source: Begins to deliver the bytes from an offset.
        patience: How long to go on when the connection breaks.
        on_position: Told the number of bytes that are there.

    Returns:
        The file.

    Raises:
        InvalidArgument: When the path would leave the folder, or a folder stands there.
        VerificationFailed: When the bytes do not have the digest.
        OSError: When it cannot be written, with its path.
    """
    path = folder.joinpath(*part.path.split("/"))
    try:
        _receive(folder, part, source, patience, on_position)
    except IsADirectoryError as error:
        message = f"{path} is a folder, where a file is to be; move it away."
        raise InvalidArgument(message, reason="ARTIFACT_PATH_INVALID") from error
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    return path


def _receive(
    folder: Path,
    part: Part,
    source: Callable[[int], Iterator[bytes | memoryview]],
    patience: Patience,
    on_position: Callable[[int], None] | None,
) -> None:
    with (
        folder_for(folder, part.path) as (parent, name),
        _temporary_file(parent, part.digest) as (descriptor, temporary),
        closing(_Received(descriptor, part.size)) as received,
    ):
        resumed = received.size > 0
        _fill(received, part, source, patience, on_position)
        if resumed and received.digest() != part.digest:
            # What an earlier attempt left behind may be at fault: once more from the start.
            received.start_over()
            _fill(received, part, source, patience, on_position)
        if received.digest() != part.digest:
            os.unlink(temporary, dir_fd=parent)
            raise _mismatch(part, received)
        os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# A link, a folder, a socket or a device without a driver stands there.
_NO_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.ENODEV})


@contextmanager
def _temporary_file(parent: int, digest: str) -> Iterator[tuple[int, str]]:
    """The file an attempt that was cut off has left, or a new one; locked."""
    name = unfinished_name(hex_of(digest))
    descriptor = _open(parent, name)
    resumable = descriptor is not None
    if descriptor is None:  # somebody else is fetching the same bytes to the same place
        name = unfinished_name(secrets.token_hex(16))
        descriptor = os.open(name, _FLAGS | os.O_EXCL, 0o666, dir_fd=parent)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)
        if not resumable:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)


def _open(parent: int, name: str) -> int | None:
    """The file of this name, locked; None when it is in use, or nothing to write to."""
    try:
        descriptor = os.open(name, _FLAGS, 0o666, dir_fd=parent)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.fstat(descriptor)
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        os.close(descriptor)
        return None
    # Not one that whoever held the lock has just finished and renamed away; nor a pipe, or a second
    # name of another file, that somebody has put there.
    is_same = (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
    if is_same and stat.S_ISREG(mine.st_mode) and mine.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    return None


class _Received:
    """The bytes of a file so far, hashed as they come.

    Those of a large file are written and hashed in a thread, while further ones come.
    """

    def __init__(self, descriptor: int, expected: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self.size = 0
        while block := os.pread(descriptor, READ_BYTES, self.size):
            self._hash.update(block)
            self.size += len(block)
        self._expected = expected
        self._file = SteadyWriter(descriptor, self.size, expected)
        self._pieces: Queue[bytes | memoryview | None] = Queue(_PIECES_AHEAD)
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None
        if expected - self.size > PIECE_BYTES:
            self._thread = threading.Thread(target=self._store_all, name="download", daemon=True)
            self._thread.start()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes, soon."""
        self.size += len(data)
        if self._thread is None:
            self._store(data)
        else:
            self._pieces.put(data)
        self._check()

    def start_over(self) -> None:
        """Forget all bytes."""
        self._settle()
        os.ftruncate(self._descriptor, 0)
        self._hash = hashlib.sha256()
        self.size = 0
        self._file = SteadyWriter(self._descriptor, 0, self._expected)

    def digest(self) -> str:
        """The digest of all bytes, once they are written."""
        self._settle()
        return prefixed(self._hash.hexdigest())

    def close(self) -> None:
        """Let what was appended be written, and write no more."""
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()

    def _settle(self) -> None:
        self._pieces.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _store_all(self) -> None:
        while (data := self._pieces.get()) is not None:
            self._store(data)
            self._pieces.task_done()

    def _store(self, data: bytes | memoryview) -> None:
        try:
            if self._failure is None:
                self._file.write_all(memoryview(data))
                self._hash.update(data)
        except OSError as error:
            self._failure = error


def _fill(
    received: _Received,
    part: Part,
    source: Callable[[int], Iterator[bytes | memoryview]],
    patience: Patience,
    on_position: Callable[[int], None] | None,
) -> None:
    while received.size < part.size:
        try:
            for data in source(received.size):
                received.write(data)
                patience.progressed()
                if on_position:
                    on_position(received.size)
                # More than was announced cannot have the digest; do not fill the disk with it.
                if received.size > part.size:
                    return
            if received.size < part.size:
                message = f"{part.path} ended after {received.size} of {part.size} bytes."
                raise Unavailable(message, reason="TRANSFER_INCOMPLETE")
        except StudbookError as error:
            patience.after(error)


def _mismatch(part: Part, received: _Received) -> VerificationFailed:
    return VerificationFailed(
        f"{part.path} has the digest {received.digest()} after {received.size} bytes; "
        f"expected were {part.digest} and {part.size} bytes. It was not kept.",
        reason="DIGEST_MISMATCH",
        metadata={"path": part.path, "declared": part.digest, "actual": received.digest()},
        next_step="Try again. If it stays so, the server's copy is damaged; its operators can have "
        "it replaced.",
    )
