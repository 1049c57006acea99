"""Stores files by the digest of their bytes, in a folder.

    sha256/ab/abcdef...           whole files, verified, never changed
    partial/{scope}-{digest}      uploads that are under way or were interrupted
    locks/ab                      what keeps collection and uploads apart, for each shelf

A file appears under `sha256/` only when all its bytes are on disk and have its digest. Partial
files are kept apart by scope (the workspace), so that nobody learns from them what others upload.
The methods block and belong in a thread.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from service_chassis.blob_shelves import SHELVES, Collection, Shelf
from service_chassis.blob_upload import (
    BlobWriter,
    offset_out_of_range,
    open_exclusively,
    store_errors,
    sync_folder,
)
from service_chassis.errors import Code, StudbookError, invalid_field, unavailable
from studbook.bulk_data import from_file
from studbook.disk_traffic import PassingBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.bulk_data import BulkData

__all__ = ["CHUNK_BYTES", "BlobWriter", "FolderBlobStore", "byte_range", "open_blob_store"]

CHUNK_BYTES = 1 << 20

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def byte_range(offset: int, limit: int, size: int) -> int:
    """How many bytes a read of `limit` bytes (0: up to the end) from `offset` yields.

    Raises:
        StudbookError: OFFSET_OUT_OF_RANGE.
    """
    if not 0 <= offset <= size:
        raise offset_out_of_range(offset, size, f"the file has {size} bytes")
    if limit < 0:
        raise invalid_field("read_limit", limit, "give 0 for all bytes, or more")
    return min(limit, size - offset) if limit else size - offset


def _corrupt(digest: str, problem: str) -> StudbookError:
    return StudbookError(
        Code.DATA_LOSS,
        "BLOB_CORRUPT",
        f"The stored file sha256:{digest} {problem}; upload it again.",
        metadata={"digest": f"sha256:{digest}"},
    )


class FolderBlobStore:
    """Files by SHA-256, 64 hexadecimal digits in lower case, in a folder.

    Args:
        root: The folder; made if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._files = root / "sha256"
        self._partials = root / "partial"
        self._locks = root / "locks"
        for folder in (self._files, self._partials, self._locks):
            folder.mkdir(parents=True, exist_ok=True)
        # All at once and for good: then an upload has one folder less to make durable.
        for shelf in SHELVES:
            (self._files / shelf).mkdir(exist_ok=True)
        sync_folder(self._files)

    def size(self, digest: str) -> int | None:
        """Size of a stored file, None when it is not stored."""
        with store_errors():
            try:
                return self._file(digest).stat().st_size
            except FileNotFoundError:
                return None

    def upload_offset(self, scope: str, digest: str) -> int:
        """Number of bytes of an unfinished upload that are stored."""
        with store_errors():
            try:
                return self._partial(scope, digest).stat().st_size
            except FileNotFoundError:
                return 0

    def open_upload(self, scope: str, digest: str, size: int, offset: int) -> BlobWriter:
        """Begin or resume an upload.

        Args:
            scope: Who may share unfinished uploads, e.g. a workspace.
            digest: Digest that the whole file is to have.
            size: Size of the whole file.
            offset: Where the bytes to come begin: 0, or what `upload_offset` says.

        Raises:
            StudbookError: OFFSET_OUT_OF_RANGE; TRANSACTION_CONFLICT while another upload of the
                digest is under way in the same scope; STORE_UNAVAILABLE.
        """
        partial, final = self._partial(scope, digest), self._file(digest)
        self._check_room(size - offset)
        shelf = Shelf(self._locks / digest[:2])
        writer = BlobWriter(partial, final, size, open_exclusively(partial), shelf)
        try:
            writer.resume_at(offset)
        except BaseException:
            writer.suspend()
            raise
        return writer

    def read(
        self, digest: str, offset: int, limit: int, chunk: int = CHUNK_BYTES
    ) -> Iterator[memoryview]:
        """Yield exactly `limit` bytes from an offset, in pieces of at most `chunk` bytes.

        Raises:
            StudbookError: BLOB_CORRUPT when the file is missing or ends before that.
        """
        for piece in self.pieces(digest, offset, limit, chunk):
            yield piece.data

    def pieces(self, digest: str, offset: int, limit: int, chunk: int) -> Iterator[BulkData]:
        """`read`, with each piece as a message that is ready to be sent."""
        with store_errors():
            try:
                descriptor = os.open(self._file(digest), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise _corrupt(digest, "is missing") from error
        try:
            end = offset + limit
            passing = PassingBytes(descriptor, offset, limit)
            while offset < end:
                wanted = min(chunk, end - offset)
                with store_errors():
                    piece = from_file(descriptor, offset, wanted)
                if len(piece.data) < wanted:
                    offset += len(piece.data)
                    raise _corrupt(digest, f"ends at {offset} instead of {end} bytes or more")
                offset += wanted
                passing.read_up_to(offset)
                yield piece
        finally:
            os.close(descriptor)

    def recompute(self, digest: str) -> str:
        """The digest that the stored bytes have now.

        Raises:
            StudbookError: BLOB_CORRUPT when the file is missing.
        """
        size = self.size(digest)
        if size is None:
            raise _corrupt(digest, "is missing")
        actual = hashlib.sha256()
        for data in self.read(digest, 0, size):
            actual.update(data)
        return actual.hexdigest()

    @contextmanager
    def collecting(self, shelf: str) -> Iterator[Collection | None]:
        """Have a shelf to oneself, to remove files from it that nobody has.

        No upload puts a file there meanwhile, and none that has just done so is still to be
        recorded; so who looks now which files somebody has, sees all of them.

        Args:
            shelf: The first two digits of the digests.

        Yields:
            The shelf; None when it is in use, to be tried again another time.
        """
        lock = Shelf(self._locks / shelf)
        with store_errors():
            mine = lock.try_to_close()
        try:
            yield Collection(self._files / shelf) if mine else None
        finally:
            lock.release()

    def shelf_digests(self, shelf: str, older_than_s: float) -> list[str]:
        """The digests of the files on a shelf that have been there for so long."""
        with store_errors():
            return _digests(self._files / shelf, time.time() - older_than_s)

    def discard_stale_uploads(self, older_than_s: float) -> int:
        """Delete unfinished uploads that nobody has written to for so long; returns how many."""
        with store_errors():
            return sum(_discard_if_stale(path, older_than_s) for path in self._partials.iterdir())

    def _check_room(self, size: int) -> None:
        with store_errors():
            room = os.statvfs(self._partials)
        if size > room.f_bavail * room.f_frsize:
            raise unavailable(
                "STORE_UNAVAILABLE", f"The artifact store is too full for {size} bytes more."
            )

    def _file(self, digest: str) -> Path:
        _check_hex(digest)
        return self._files / digest[:2] / digest

    def _partial(self, scope: str, digest: str) -> Path:
        _check_hex(digest)
        return self._partials / f"{hashlib.sha256(scope.encode()).hexdigest()[:16]}-{digest}"


def _digests(folder: Path, written_before: float) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if _HEX_DIGEST.fullmatch(entry.name) and _is_older(entry, written_before)
        )


def _is_older(entry: os.DirEntry[str], moment: float) -> bool:
    try:
        return entry.stat().st_mtime <= moment
    except FileNotFoundError:
        # Another collector has removed it since the folder was read.
        return False


def _check_hex(digest: str) -> None:
    # Digests become file names. Requests are checked long before; this is the last line.
    if not _HEX_DIGEST.fullmatch(digest):
        message = "a digest has 64 hexadecimal digits in lower case"
        raise ValueError(message)


def _discard_if_stale(partial: Path, older_than_s: float) -> bool:
    try:
        descriptor = open_exclusively(partial)
    except StudbookError:
        return False
    try:
        stale = time.time() - os.fstat(descriptor).st_mtime >= older_than_s
        if stale:
            partial.unlink(missing_ok=True)
        return stale
    finally:
        os.close(descriptor)


def open_blob_store(url: str) -> FolderBlobStore:
    """The store at a `file:///` URL or a path.

    Raises:
        ValueError: The URL is of another kind.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FolderBlobStore(Path(unquote(parts.path)))
    if parts.scheme == "file" or "://" in url or not url:
        message = f"artifact store {url!r} is neither a file:/// URL nor a path"
        raise ValueError(message)
    return FolderBlobStore(Path(url))
