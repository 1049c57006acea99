"""Which files a pattern stands for.

Which ones belongs to the digest over them, so it must not be a matter of the version of Python, or
of what could be read: Python's own `glob` passes over a folder that may not be entered.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC = frozenset("*?[")


def is_pattern(text: str) -> bool:
    """Whether text is a pattern for paths, rather than the path of something that is there."""
    return not _MAGIC.isdisjoint(text) and not os.path.lexists(text)


def split_pattern(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The folder before the first `*`, `?` or `[`, and the parts from there on."""
    parts = Path(pattern).parts
    plain = next(index for index, part in enumerate(parts) if not _MAGIC.isdisjoint(part))
    return Path(*parts[:plain]), parts[plain:]


def matches(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """What a pattern matches that is no folder, each once, in order of path.

    `*`, `?` and `[...]` stand for characters within a name, `**` for any number of folders. None of
    them stands for a name that begins with a dot, unless the pattern does, nor for a link to a
    folder.

    Args:
        folder: Where to look.
        parts: The pattern, cut at its slashes.

    Raises:
        OSError: When a folder cannot be read.
    """
    return iter(sorted(set(_matches(folder, parts))))


def _matches(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    head, *rest = parts
    if head == "**":
        yield from _matches(folder, rest or ["*"])
        for entry in _entries(folder, "*"):
            if _is_folder(entry):
                yield from _matches(folder / entry.name, parts)
    elif rest:
        for entry in _entries(folder, head):
            if _is_folder(entry):
                yield from _matches(folder / entry.name, rest)
    else:
        for entry in _entries(folder, head):
            if not entry.is_dir():
                yield folder / entry.name


def _entries(folder: Path, pattern: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [
            entry
            for entry in entries
            if fnmatchcase(entry.name, pattern)
            and (not entry.name.startswith(".") or pattern.startswith("."))
        ]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
