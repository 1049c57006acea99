"""What a program printed, kept in a folder of bounded size: the beginning and the end of it.

head               the beginning
tail-{offset}      parts of the end, each named by its offset in all that was printed
reachable          the last lines, which may still change
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# The sentence that says what is missing.
_REMARK_BYTES = 200
_PARTS = 4


class ConsoleFile:
    """Writes such a folder.

    Args:
        folder: The folder; made when missing.
        most_bytes: How much is kept.

    Raises:
        OSError: When it cannot be made.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        # Three eighths are for the beginning, four for the end, one for lines that may change.
        self._part_bytes = most_bytes // 8
        self._head_bytes = 3 * self._part_bytes - _REMARK_BYTES
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._offset = 0
        self._path = folder / "head"
        self._path.write_bytes(b"")
        self._room = self._head_bytes
        self._tails: list[Path] = []

    def append(self, data: bytes) -> None:
        """Add whole lines.

        Raises:
            OSError: When they cannot be written.
        """
        while data:
            part = data if len(data) <= self._room else self._fitting(data)
            with self._path.open("ab") as file:
                file.write(part)
            self._offset += len(part)
            self._room -= len(part)
            data = data[len(part) :]
            if data:
                self._begin_part()

    def _fitting(self, data: bytes) -> bytes:
        """As many whole lines as there is room for; a line that never fits is cut."""
        end = data.rfind(b"\n", 0, max(self._room, 0)) + 1
        if not end and self._room == self._part_bytes:
            end = self._room
        return data[:end]

    def _begin_part(self) -> None:
        self._path = self._folder / f"tail-{self._offset:020d}"
        self._room = self._part_bytes
        self._tails.append(self._path)
        if len(self._tails) > _PARTS:
            self._tails.pop(0).unlink(missing_ok=True)

    def show_reachable(self, data: bytes) -> None:
        """Keep the last lines as they are now, in place of what was kept of them before.

        Raises:
            OSError: When they cannot be written.
        """
        beginning = self._folder / "reachable.new"
        beginning.write_bytes(data[-self._part_bytes :])
        os.replace(beginning, self._folder / "reachable")  # noqa: PTH105 - same thing, plainer


def read_console(folder: Path) -> bytes:
    """All that is kept, with a sentence in place of what is not; empty when there is nothing.

    Raises:
        OSError: When it cannot be read.
    """
    try:
        text = (folder / "head").read_bytes()
    except FileNotFoundError:
        return b""
    parts = [text]
    position = len(text)
    for tail in sorted(folder.glob("tail-*")):
        offset = int(tail.name.partition("-")[2])
        if offset > position:
            parts.append(
                f"\n[Studbook left out {offset - position} bytes here; "
                "STUDBOOK_CONSOLE_BYTES says how many are kept.]\n\n".encode()
            )
        try:
            data = tail.read_bytes()
        except FileNotFoundError:
            continue  # a newer part has taken its place
        parts.append(data)
        position = offset + len(data)
    reachable = folder / "reachable"
    if reachable.exists():
        parts.append(reachable.read_bytes())
    return b"".join(parts)


def remove_console(folder: Path) -> None:
    """Remove the folder with everything in it, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)
