"""Which files a path stands for when it is logged."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument, NotFound
from studbook.safe_paths import check_artifact_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def given_path(path: Path | str) -> Path:
    """What somebody gave as a path.

    Raises:
        InvalidArgument: When it is empty: a setting that is missing, rather than the folder that
            the program runs in.
    """
    if path == "":
        message = 'The path is empty; give "." for the current folder.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return Path(path)


def files_below(path: Path, name: str | None = None) -> list[tuple[Path, str]]:
    """The files that logging `path` would send, each with its artifact path, sorted by it.

    Args:
        path: A file, or a folder with everything below it.
        name: Artifact path of the file or folder; default: its own name.

    Raises:
        NotFound: When there is nothing at `path`.
        InvalidArgument: When a name cannot be an artifact path, when something below is neither
            file nor folder, or when a symbolic link leads out of the folder, up, or to nothing.
        OSError: When a folder cannot be read, or something vanishes meanwhile.
    """
    if not path.exists():
        message = f"{path} does not exist."
        raise NotFound(message, metadata={"resource": str(path)}, next_step="Check the path.")
    own_name = name if name is not None else path.resolve().name
    if not path.is_dir():
        _check_kind(path)
        check_artifact_path(own_name)
        return [(path, own_name)]
    found = []
    for file in _below(path, path.resolve(), (path.resolve(),)):
        artifact_path = "/".join((own_name, *file.relative_to(path).parts))
        check_artifact_path(artifact_path)
        found.append((file, artifact_path))
    return found


def _below(folder: Path, root: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Files in order of path; a link inside the root counts as what it leads to.

    Args:
        folder: Where to look.
        root: What no link may lead out of, without links.
        above: The folders that this one lies in and it itself, without links.
    """
    for entry in sorted(folder.iterdir()):
        target = entry.resolve() if entry.is_symlink() else None
        if target is not None and not target.is_relative_to(root):
            raise _refused(entry, f"a symbolic link out of {root}; log what it points to by itself")
        if target in above:
            raise _refused(entry, "a symbolic link to a folder that it lies in")
        if target is not None and not target.exists():
            raise _refused(entry, "a symbolic link to nothing")
        if entry.is_dir():
            yield from _below(entry, root, (*above, entry.resolve()))
        else:
            _check_kind(entry)
            yield entry


def _check_kind(path: Path) -> None:
    # Reading a pipe or a device would block, or never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise _refused(path, "neither a file nor a folder; leave it out")


def _refused(path: Path, what: str) -> InvalidArgument:
    message = f"{path} is {what}."
    return InvalidArgument(message, reason="ARTIFACT_PATH_INVALID")
