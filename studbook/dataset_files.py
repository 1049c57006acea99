"""The canonical forms `file/v1` and `folder/v1`. See docs/reference/dataset-digests.md."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from studbook.dataset_progress import Progress
from studbook.exceptions import Conflict, InvalidArgument, NotFound
from studbook.file_digests import digest_of_listing, hash_file, prefixed
from studbook.file_listing import files_below
from studbook.path_patterns import matches, split_pattern
from studbook.safe_paths import check_artifact_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "file/v1"
FOLDER = "folder/v1"

_MOST_THREADS = 8


def digest_bytes(data: bytes | bytearray | memoryview) -> tuple[str, int]:
    """Digest and size of bytes, as of a file that holds them."""
    view = memoryview(data).cast("B")
    return prefixed(hashlib.sha256(view).hexdigest()), view.nbytes


def digest_path(path: Path) -> tuple[str, str, int]:
    """Canonical form, digest and size of a file or folder.

    Raises:
        NotFound: When there is nothing at `path`.
        InvalidArgument: For an empty folder, and as for artifacts.
        Conflict: When a file changes while it is read.
        OSError: When a file or folder cannot be read.
    """
    if not path.exists():
        message = f"{path} does not exist."
        raise NotFound(message, metadata={"resource": str(path)}, next_step="Check the path.")
    if not path.is_dir():
        _check_regular(path)
        with Progress(str(path), path.stat().st_size) as progress:
            digest, size = _hash(path, progress)
        return FILE, digest, size
    prefix = "folder/"
    listed = files_below(path, prefix.rstrip("/"))
    files = [(file, name.removeprefix(prefix)) for file, name in listed]
    if not files:
        message = f"{path} is empty, so it is not a dataset."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return FOLDER, *_digest_of_files(files, str(path))


def digest_pattern(pattern: str) -> tuple[str, str, int]:
    """Canonical form, digest and size of the files that a pattern matches.

    They count as a folder that holds just them: the folder before the first `*`, `?` or `[`.

    Raises:
        NotFound: When no file matches.
        InvalidArgument: When a match is neither file nor folder, when a link among them leads out
            of that folder or to nothing, or when a name has backslashes or control characters.
        Conflict: When a file changes while it is read.
        OSError: When a file or folder cannot be read.
    """
    base, parts = split_pattern(pattern)
    if not base.is_dir():
        raise _no_match(pattern)
    files = [(file, file.relative_to(base).as_posix()) for file in matches(base, parts)]
    if not files:
        raise _no_match(pattern)
    for file, name in files:
        _check_match(file, base)
        check_artifact_path(name)
    return FOLDER, *_digest_of_files(files, pattern)


def _no_match(pattern: str) -> NotFound:
    message = f'No file matches "{pattern}".'
    return NotFound(message, metadata={"resource": pattern}, next_step="Check the pattern.")


def _check_match(file: Path, base: Path) -> None:
    if file.is_symlink() and not file.resolve().is_relative_to(base.resolve()):
        message = f"{file} is a symbolic link out of {base}; name what it points to by itself."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    if not file.exists():
        message = f"{file} is a symbolic link to nothing."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    _check_regular(file)


def _check_regular(path: Path) -> None:
    # Reading a pipe or a device would block, or never end.
    if not stat.S_ISREG(path.stat().st_mode):
        message = f"{path} is neither a file nor a folder, so it is not a dataset."
        raise InvalidArgument(message, reason="FIELD_INVALID")


def _digest_of_files(files: Sequence[tuple[Path, str]], what: str) -> tuple[str, int]:
    """Digest and size of files under their names; they are read by several threads."""
    total = sum(file.stat().st_size for file, _ in files)
    threads = min(_MOST_THREADS, os.cpu_count() or 1, len(files))
    with Progress(what, total) as progress, ThreadPoolExecutor(threads) as pool:
        hashed = list(pool.map(lambda file: _hash(file[0], progress), files))
    entries = [(name, digest) for (_, name), (digest, _) in zip(files, hashed, strict=True)]
    return digest_of_listing(entries), sum(size for _, size in hashed)


def _hash(path: Path, progress: Progress) -> tuple[str, int]:
    """Digest and size of a file that stays as it is meanwhile."""
    before = _state(path)
    hashed = hash_file(path, progress.add)
    if _state(path) != before:
        message = f"{path} changed while it was read, so it has no digest."
        raise Conflict(
            message,
            metadata={"resource": str(path)},
            next_step="Wait until whatever writes the file is done, then try again.",
        )
    return hashed.digest, hashed.state.size


def _state(path: Path) -> tuple[int, ...]:
    # The time of the last change of the record, unlike that of the content, cannot be set back.
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
