"""Which files a path stands for when it is logged."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument, NotFound
from studbook.safe_paths import check_artifact_path

if TYPE_CHECKING:
    from pathlib import Path


def files_below(path: Path, name: str | None = None) -> list[tuple[Path, str]]:
    """The files that logging `path` would send, each with its artifact path, sorted by it.

    Args:
        path: A file, or a folder with everything below it.
        name: Artifact path of the file or folder; default: its own name.

    Raises:
        NotFound: When there is nothing at `path`.
        InvalidArgument: When a name cannot be an artifact path, when something below is neither
            file nor folder, or when a symbolic link leads out of the folder.
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
    inside = path.resolve()
    for file in sorted(path.rglob("*")):
        if file.is_symlink() and not file.resolve().is_relative_to(inside):
            message = f"{file} is a symbolic link out of {path}; log what it points to by itself."
            raise InvalidArgument(message, reason="ARTIFACT_PATH_INVALID")
        if file.is_dir():
            continue
        _check_kind(file)
        artifact_path = "/".join((own_name, *file.relative_to(path).parts))
        check_artifact_path(artifact_path)
        found.append((file, artifact_path))
    return found


def _check_kind(path: Path) -> None:
    # Reading a pipe or a device would block, or never end.
    if not stat.S_ISREG(path.stat().st_mode):
        message = f"{path} is neither a file nor a folder, so it cannot be an artifact."
        raise InvalidArgument(message, reason="ARTIFACT_PATH_INVALID")
