"""Writing files under names that came from elsewhere, without ever leaving the target folder."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from unicodedata import category

from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST_PATH = 1024
# Of one file or folder; no usual file system takes more.
_LONGEST_NAME = 255
# Control characters, lone surrogates, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_UNFINISHED = re.compile(r"\.studbook-[0-9a-f]+\.part")


def check_artifact_path(path: str) -> tuple[str, ...]:
    """The parts of an artifact's path.

    Raises:
        InvalidArgument: When it is not relative, climbs, has empty parts, backslashes or control
            characters, is no UTF-8, is longer than 1024 bytes or has a part of more than 255, or
            is that of a file that has not come whole.
    """
    # First, because looking at each character of a very long path takes very long.
    if len(path.encode(errors="replace")) > _LONGEST_PATH:
        raise _refused(path, f"it must not be longer than {_LONGEST_PATH} bytes")
    parts = tuple(path.split("/"))
    if any(part in {"", ".", ".."} for part in parts):
        raise _refused(path, "it must be relative, without empty parts, `.` or `..`")
    if any(len(part.encode(errors="replace")) > _LONGEST_NAME for part in parts):
        raise _refused(path, f"no part of it must be longer than {_LONGEST_NAME} bytes")
    if "\\" in path or any(category(character) in _UNPRINTABLE for character in path):
        raise _refused(
            path, "it must be UTF-8, and must not hold backslashes or control characters"
        )
    # While it is moved into the place of another file, it must not be taken for that one.
    if any(map(_UNFINISHED.fullmatch, parts)):
        raise _refused(path, "files that are not whole yet are called so")
    return parts


def unfinished_name(digits: str) -> str:
    """The name of a file that has not come whole.

    Args:
        digits: Hexadecimal digits that tell it from others.
    """
    return f".studbook-{digits}.part"


@contextmanager
def folder_for(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Open the folder that `path` lies in below `root`, making what is missing.

    Yields:
        Descriptor of the folder, for the `dir_fd` arguments of `os`, and the file's own name.
        A symbolic link among the folders is refused, also one that appears in the meantime.

    Raises:
        InvalidArgument: When the path is refused, or a link or file stands where a folder should,
            the root included.
        OSError: When a folder cannot be made.
    """
    *folders, name = check_artifact_path(path)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        message = f"{root} is not a folder, nor can be made one; name another."
        raise InvalidArgument(message, reason="FIELD_INVALID") from error
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = _open_folder(descriptor, folder, path)
            os.close(descriptor)
            descriptor = inner
        yield descriptor, name
    finally:
        os.close(descriptor)


def _open_folder(parent: int, folder: str, path: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(folder, dir_fd=parent)
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except NotADirectoryError:
        raise _refused(path, f'"{folder}" is a link or a file in the target folder') from None
    except OSError as error:
        if error.errno == errno.ELOOP:  # what some systems say of a link
            raise _refused(path, f'"{folder}" is a link in the target folder') from None
        raise


def _refused(path: str, why: str) -> InvalidArgument:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path[:120])
    return InvalidArgument(
        f'The artifact path "{shown}" is refused: {why}.',
        reason="ARTIFACT_PATH_INVALID",
        metadata={"value": shown},
    )
