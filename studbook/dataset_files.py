"""The canonical forms `file/v1` and `folder/v1`. See docs/reference/dataset-digests.md."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.dataset_progress import Progress
from studbook.exceptions import Conflict, InvalidArgument, NotFound
from studbook.file_digests import FileState, digest_of_listing, hash_file, prefixed
from studbook.file_listing import files_below

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = "file/v1"
FOLDER = "folder/v1"

_MOST_THREADS = 8
_MAGIC = frozenset("*?[")


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


def is_pattern(text: str) -> bool:
    """Whether text is a pattern for paths, rather than the path of something that is there."""
    return not _MAGIC.isdisjoint(text) and not os.path.lexists(text)


def digest_pattern(pattern: str) -> tuple[str, str, int]:
    """Canonical form, digest and size of the files that a pattern matches.

    They count as a folder that holds just them: the folder before the first `*`, `?` or `[`.

    Raises:
        NotFound: When no file matches.
        InvalidArgument: When a link among the files leads out of that folder.
        Conflict: When a file changes while it is read.
    """
    base, rest = _split(pattern)
    # pathlib's own patterns treat ** and hidden files differently from version to version.
    found = set(glob.iglob(rest, root_dir=base, recursive=True))  # noqa: PTH207 - see above
    files = [(base / name, name.replace(os.sep, "/")) for name in sorted(found)]
    kept = [(file, name) for file, name in files if _belongs(file, base)]
    if not kept:
        message = f'No file matches "{pattern}".'
        raise NotFound(message, metadata={"resource": pattern}, next_step="Check the pattern.")
    return FOLDER, *_digest_of_files(kept, pattern)


def _split(pattern: str) -> tuple[Path, str]:
    """The folder that a pattern begins with, and the rest."""
    parts = Path(pattern).parts
    plain = next(index for index, part in enumerate(parts) if not _MAGIC.isdisjoint(part))
    return Path(*parts[:plain]), os.path.join(*parts[plain:])  # noqa: PTH118 - for glob


def _belongs(file: Path, base: Path) -> bool:
    """Whether a match is one of the files: no folder, and not reached by a link to a folder."""
    if file.is_dir() or any(
        parent.is_symlink()
        for parent in file.parents
        if parent.is_relative_to(base) and parent != base
    ):
        return False
    if file.is_symlink() and not file.resolve().is_relative_to(base.resolve()):
        message = f"{file} is a symbolic link out of {base}; name what it points to by itself."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    _check_regular(file)
    return True


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
    hashed = hash_file(path, progress.add)
    after = path.stat()
    if FileState(after.st_size, after.st_mtime_ns, after.st_ino) != hashed.state:
        message = f"{path} changed while it was read, so it has no digest."
        raise Conflict(
            message,
            metadata={"resource": str(path)},
            next_step="Wait until whatever writes the file is done, then try again.",
        )
    return hashed.digest, hashed.state.size
