"""SHA-256 over files and over lists of files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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
        OSError: When it cannot be read.
    """
    total = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        state = state_of(file.fileno())
        block = bytearray(READ_BYTES)
        view = memoryview(block)
        while count := file.readinto(block):
            total.update(view[:count])
            if on_bytes:
                on_bytes(count)
    return HashedFile(path, prefixed(total.hexdigest()), state)


def digest_of_listing(files: Iterable[tuple[str, str]]) -> str:
    """The digest of a set of files, from (path, digest) pairs.

    It is the SHA-256 of one line `{hex digest}  {path}` for each file, in order of path: a list
    as `sha256sum` prints and checks it, and how a model version's own digest is made.
    """
    lines = "".join(f"{hex_of(digest)}  {path}\n" for path, digest in sorted(files))
    return prefixed(hashlib.sha256(lines.encode()).hexdigest())
