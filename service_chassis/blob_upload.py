"""Uploads into a folder: resumable, verified, one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from service_chassis.errors import Code, FieldViolation, StudbookError, invalid_field, unavailable
from studbook.disk_traffic import SteadyWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from service_chassis.blob_shelves import Shelf

_CHUNK_BYTES = 1 << 20
# No room on the disk, in a quota, or below the system's limit for one file.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns errors of the file system into errors for callers; the cause stays in the log."""
    try:
        yield
    except OSError as error:
        state = "is full" if error.errno in _FULL else "cannot be used at the moment"
        raise unavailable("STORE_UNAVAILABLE", f"The artifact store {state}.") from error


def offset_out_of_range(offset: int, size: int, remedy: str) -> StudbookError:
    """OUT_OF_RANGE for an offset; `size` is what there is."""
    return StudbookError(
        Code.OUT_OF_RANGE,
        "OFFSET_OUT_OF_RANGE",
        f"Offset {offset} is out of range; {remedy}.",
        metadata={"offset": str(offset), "size": str(size)},
    )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BlobWriter:
    """One upload that is under way; nobody else can write to it meanwhile.

    As a context manager it suspends the upload on leaving, unless it was committed.

    Attributes:
        committed: Number of bytes that are stored.
    """

    def __init__(
        self, partial: Path, final: Path, size: int, descriptor: int, shelf: Shelf
    ) -> None:
        self.committed = 0
        self._shelf = shelf
        self._partial = partial
        self._final = final
        self._size = size
        self._descriptor = descriptor
        self._file = SteadyWriter(descriptor, 0, size)
        self._hash = hashlib.sha256()
        self._open = True

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Suspend the upload unless it has ended; a committed file is protected no more."""
        try:
            self.suspend()
        finally:
            self._shelf.release()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            StudbookError: FIELD_INVALID when they are more than was announced, which drops the
                upload; STORE_UNAVAILABLE, which drops it when there is no room for it.
        """
        self._check_open()
        if self.committed + len(data) > self._size:
            self._drop()
            raise invalid_field(
                "header.size_bytes",
                self._size,
                "more bytes came; announce the size of the whole file",
            )
        rest = memoryview(data)
        while rest:
            with store_errors(), self._dropped_when_full():
                count = self._file.write(rest)
            self._hash.update(rest[:count])
            self.committed += count
            rest = rest[count:]

    def commit(self) -> None:
        """Verify the bytes and put the file in its place, durably.

        Until the context is left nobody can collect the file; record before that who has it.

        Raises:
            StudbookError: UPLOAD_INCOMPLETE, after which the upload can be resumed;
                DIGEST_MISMATCH, after which the bytes are gone; STORE_UNAVAILABLE.
        """
        self._check_open()
        if self.committed < self._size:
            self.suspend()
            raise StudbookError(
                Code.ABORTED,
                "UPLOAD_INCOMPLETE",
                f"{self.committed} of {self._size} bytes came; resume at {self.committed}.",
                metadata={"committed_size": str(self.committed), "size": str(self._size)},
            )
        actual, declared = self._hash.hexdigest(), self._final.name
        if actual != declared:
            self._drop()
            raise StudbookError(
                Code.INVALID_ARGUMENT,
                "DIGEST_MISMATCH",
                f"The bytes have the digest sha256:{actual}, announced was sha256:{declared}; "
                "compute header.digest anew.",
                metadata={"declared": f"sha256:{declared}", "actual": f"sha256:{actual}"},
                fields=(FieldViolation("header.digest", f"the bytes have sha256:{actual}"),),
            )
        try:
            with store_errors():
                self._publish()
        except StudbookError:
            # What the disk holds after a failed fsync is anybody's guess.
            self._drop()
            raise
        self._close()

    def suspend(self) -> None:
        """End this call's part of the upload; what came stays, for another call to go on from."""
        if self._open:
            try:
                with store_errors():
                    os.fsync(self._descriptor)
            finally:
                self._close()

    def resume_at(self, offset: int) -> None:
        """Take over the bytes that an earlier call stored; offset 0 begins anew.

        Raises:
            StudbookError: OFFSET_OUT_OF_RANGE when the offset is not what is stored.
        """
        with store_errors():
            stored = os.fstat(self._descriptor).st_size
            if offset == 0:
                os.ftruncate(self._descriptor, 0)
                return
            if offset != stored or offset > self._size:
                raise offset_out_of_range(
                    offset, stored, f"{stored} bytes are stored, continue there or at 0"
                )
            while data := os.read(self._descriptor, _CHUNK_BYTES):
                self._hash.update(data)
                self.committed += len(data)
        self._file = SteadyWriter(self._descriptor, self.committed, self._size)

    @contextmanager
    def _dropped_when_full(self) -> Iterator[None]:
        # What can never be finished must not keep others from finishing, or a database from going
        # on that is on the same disk.
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                self._drop()
            raise

    def _check_open(self) -> None:
        # The number of a closed descriptor may belong to another file by now.
        if not self._open:
            message = "the upload has ended"
            raise ValueError(message)

    def _publish(self) -> None:
        os.fsync(self._descriptor)
        folder = self._final.parent
        self._shelf.use()
        # Over a file of the same digest, if somebody else was faster: the bytes are the same.
        self._partial.replace(self._final)
        os.fchmod(self._descriptor, 0o440)
        sync_folder(folder)

    def _drop(self) -> None:
        try:
            with store_errors():
                self._partial.unlink(missing_ok=True)
        finally:
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


def open_exclusively(partial: Path) -> int:
    """Open a partial file, made if need be, for one writer only."""
    while True:
        with store_errors():
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking, the holder before may have renamed or deleted the file;
            # writing on would change a file that is in its place already.
            if os.fstat(descriptor).st_ino == partial.stat().st_ino:
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise StudbookError(
                Code.ABORTED,
                "TRANSACTION_CONFLICT",
                "Another upload of this digest is going on; wait for it to end.",
            ) from error
        except FileNotFoundError:
            pass
        os.close(descriptor)
