"""Files on disk beside the files that a certificate names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument
from studbook.file_digests import hash_file, hex_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

# What `studbook pull` leaves in a directory to know it again; see `studbook.model_directory`.
MARKER = ".studbook-version.json"


@dataclass(frozen=True)
class FileFinding:
    """How one file turned out.

    Attributes:
        path: Its path in the version; on this machine, for a file that is none of the version's.
        problem: What is wrong with it; empty when it is the one that was certified.
    """

    path: str
    problem: str


def compare_files(
    certified: Mapping[str, str],
    given: Iterable[Path],
    *,
    ignored: Collection[Path] = (),
    partial: bool = False,
) -> list[FileFinding]:
    """Compare files with those of a certificate.

    Args:
        certified: Hexadecimal SHA-256 of each file of the version, by path.
        given: Files, and folders that hold a version as a whole.
        ignored: Files that may lie in a folder without being the version's.
        partial: Whether files of the version may be absent.

    Returns:
        Every file of the version, and every file beside them, sorted by path.

    Raises:
        InvalidArgument: Something that is given does not exist.
        OSError: A file cannot be read.
    """
    skipped = {path.resolve() for path in ignored}
    found: dict[str, FileFinding] = {}
    strangers: list[FileFinding] = []
    for path, name in _walk(given, certified, skipped):
        if name not in certified:
            strangers.append(FileFinding(str(path), "it is none of the version's files"))
        elif name in found:
            strangers.append(FileFinding(str(path), f"it is a second {name}"))
        else:
            found[name] = FileFinding(name, _problem(path, certified[name]))
    if not partial:
        for name in certified:
            found.setdefault(name, FileFinding(name, "it is missing"))
    ordered = sorted(found.values(), key=lambda finding: finding.path)
    return ordered + sorted(strangers, key=lambda finding: finding.path)


def _problem(path: Path, expected: str) -> str:
    if path.is_symlink():
        return "it is a symbolic link"
    if not path.is_file():
        return "it is not a file"
    actual = hex_of(hash_file(path).digest)
    return "" if actual == expected else f"it has sha256:{actual}, certified is sha256:{expected}"


def _walk(
    given: Iterable[Path], certified: Collection[str], skipped: Collection[Path]
) -> Iterator[tuple[Path, str]]:
    """Each file that is given, with the path that it would have in the version."""
    for path in given:
        if path.is_dir() and not path.is_symlink():
            for inner in _below(path):
                name = inner.relative_to(path).as_posix()
                if name != MARKER and inner.resolve() not in skipped:
                    yield inner, name
        elif path.exists() or path.is_symlink():
            yield path, _name_of(path, certified)
        else:
            message = f"{path} does not exist."
            raise InvalidArgument(message, reason="FIELD_INVALID")


def _below(folder: Path) -> Iterator[Path]:
    """Everything in a folder but folders; links to folders are not followed."""
    for root, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(root)
        yield from (here / name for name in files)
        yield from (here / name for name in folders if (here / name).is_symlink())


def _refuse(error: OSError) -> None:
    raise error


def _name_of(path: Path, certified: Collection[str]) -> str:
    """The longest path of a certified file that a file's path ends with; its name without one."""
    parts = path.absolute().parts
    for length in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[-length:])
        if name in certified:
            return name
    return path.name
