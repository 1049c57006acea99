"""The canonical forms `file/v1` and `folder/v1`. See docs/reference/dataset-digests.md."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from studbook.dataset_progress import Progress
from studbook.exceptions import Conflict, InvalidArgument, NotFound
from studbook.file_digests import digest_of_listing, hash_file, prefixed
from studbook.file_listing import files_below
from studbook.path_patterns import matches, split_pattern
from studbook.safe_paths import check_artifact_path

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "file/v1"
FOLDER = "folder/v1"

_MOST_THREADS = 8

# Files, each with its path below the folder.
_Files = list[tuple[Path, str]]


def digest_bytes(data: bytes | bytearray | memoryview) -> tuple[str, int]:
    """Digest and size of bytes, as of a file that holds them."""
    view = memoryview(data)
    view = (view if view.c_contiguous else memoryview(view.tobytes())).cast("B")
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
    return FOLDER, *_digest_of_files(partial(_files_in, path), str(path))


def _files_in(folder: Path) -> _Files:
    prefix = "folder/"
    listed = files_below(folder, prefix.rstrip("/"))
    if not listed:
        message = f"{folder} is empty, so it is not a dataset."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return [(file, name.removeprefix(prefix)) for file, name in listed]


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
    return FOLDER, *_digest_of_files(partial(_files_matching, pattern), pattern)


def _files_matching(pattern: str) -> _Files:
    base, parts = split_pattern(pattern)
    if not base.is_dir():
        raise _no_match(pattern)
    files = [(file, file.relative_to(base).as_posix()) for file in matches(base, parts)]
    if not files:
        raise _no_match(pattern)
    for file, name in files:
        _check_match(file, base)
        check_artifact_path(name)
    return files


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


def _digest_of_files(listed: Callable[[], _Files], what: str) -> tuple[str, int]:
    """Digest and size of files under their names; they are read by several threads.

    Args:
        listed: Says which files there are, whenever it is asked.
        what: What they are, for people.
    """
    files = listed()
    before = _states(files, what)
    threads = min(_MOST_THREADS, os.cpu_count() or 1, len(files))
    total = sum(state.size for state in before)
    with Progress(what, total) as progress, ThreadPoolExecutor(threads) as pool:
        hashed = list(pool.map(lambda file: _hash(file[0], progress), files))
    # A digest of some files as they were earlier and of others as they were later would be one of
    # something that never was.
    try:
        same = listed() == files and _states(files, what) == before
    except (FileNotFoundError, NotFound) as error:
        raise _changed(what) from error
    if not same:
        raise _changed(what)
    entries = [(name, digest) for (_, name), (digest, _) in zip(files, hashed, strict=True)]
    return digest_of_listing(entries), sum(size for _, size in hashed)


def _hash(path: Path, progress: Progress) -> tuple[str, int]:
    """Digest and size of a file that stays as it is meanwhile."""
    before = _states([(path, "")], str(path))
    try:
        hashed = hash_file(path, progress.add)
    except FileNotFoundError as error:
        raise _changed(str(path)) from error
    if _states([(path, "")], str(path)) != before:
        raise _changed(str(path))
    return hashed.digest, hashed.state.size


class _State(NamedTuple):
    device: int
    inode: int
    size: int
    modified_ns: int
    # Unlike the time of the content, that of the record cannot be set back.
    changed_ns: int


def _states(files: _Files, what: str) -> list[_State]:
    try:
        found = [file.stat() for file, _ in files]
    except FileNotFoundError as error:
        raise _changed(what) from error
    return [
        _State(one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
        for one in found
    ]


def _changed(what: str) -> Conflict:
    return Conflict(
        f"{what} changed while it was read, so it has no digest.",
        metadata={"resource": what},
        next_step="Wait until whatever writes there is done, then try again.",
    )
