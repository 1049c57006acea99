"""SHA-256 over files and over lists of files."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

READ_BYTES = 1024 * 1024
_PREFIX = "sha256:"


@dataclass(frozen=True)
class FileState:
    """What tells a file from the same file after a change, without reading it."""

    size: int
    modified_ns: int
    inode: int


@dataclass(frozen=True)
class HashedFile:
    """A file on disk whose bytes have been read.

    Attributes:
        path: Where it lies.
        digest: `sha256:{hex}` of its bytes.
        state: Its state when the reading began.
    """

    path: Path
    digest: str
    state: FileState


@contextmanager
def open_file(path: Path) -> Iterator[int]:
    """Open a file for reading; nothing else: a pipe would block, a device has effects.

    Yields:
        Its descriptor.

    Raises:
        InvalidArgument: When it is not a file.
        OSError: When it cannot be opened.
    """
    # Without O_NONBLOCK opening a pipe waits for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            message = f"{path} is not a file, so it cannot be read as one."
            raise InvalidArgument(message, reason="ARTIFACT_PATH_INVALID")
        yield descriptor
    finally:
        os.close(descriptor)


def state_of(descriptor: int) -> FileState:
    """The present state of an open file."""
    found = os.fstat(descriptor)
    return FileState(found.st_size, found.st_mtime_ns, found.st_ino)


def prefixed(hex_digest: str) -> str:
    """`sha256:{hex}` for hexadecimal digits."""
    return _PREFIX + hex_digest


def hex_of(digest: str) -> str:
    """The hexadecimal digits of `sha256:{hex}`."""
    return digest.removeprefix(_PREFIX)


def hash_file(path: Path, on_bytes: Callable[[int], None] | None = None) -> HashedFile:
    """Read a file once and hash it, in constant memory.

    Args:
        path: The file.
        on_bytes: Told the number of bytes after each block.

    Raises:
        InvalidArgument: When it is not a file.
        OSError: When it cannot be read.
    """
    total = hashlib.sha256()
    with open_file(path) as descriptor:
        state = state_of(descriptor)
        view = memoryview(bytearray(READ_BYTES))
        while count := _read(descriptor, view, path):
            total.update(view[:count])
            if on_bytes:
                on_bytes(count)
    return HashedFile(path, prefixed(total.hexdigest()), state)


def _read(descriptor: int, view: memoryview, path: Path) -> int:
    try:
        return os.readv(descriptor, [view])
    except OSError as error:
        error.filename = str(path)  # which a descriptor does not tell
        raise


def digest_of_listing(files: Iterable[tuple[str, str]]) -> str:
    """The digest of a set of files, from (path, digest) pairs.

    It is the SHA-256 of one line `{hex digest}  {path}` for each file, in order of path: a list
    as `sha256sum` prints and checks it, and how a model version's own digest is made.
    """
    lines = "".join(f"{hex_of(digest)}  {path}\n" for path, digest in sorted(files))
    return prefixed(hashlib.sha256(lines.encode()).hexdigest())
