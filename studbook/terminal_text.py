"""What a terminal would show of what was printed: progress bars in their last state, no colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Lines that are still within reach of the cursor; nested progress bars go up and down in them.
_REACHABLE_LINES = 64
# A line without an end is ended here.
_LONGEST_LINE = 32 * 1024
_LONGEST_SEQUENCE = 256
_CONTROL = re.compile(
    r"\x1b\[(?P<arguments>[0-?]*)[ -/]*(?P<command>[@-~])"  # what moves, erases and colours
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    r"|\x1b[ -/]*[0-Z\\^-~]"
    r"|(?P<character>[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f])"
)
_BEYOND_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class TerminalText:
    """Turns a stream for a terminal into lines.

    Args:
        take: Told lines that cannot change any more.
    """

    def __init__(self, take: Callable[[list[str]], None]) -> None:
        self._take = take
        self._lines = [""]
        self._row = 0
        self._column = 0
        self._unfinished = ""

    def feed(self, text: str) -> None:
        """Take in what was printed next."""
        text = self._unfinished + text
        self._unfinished = ""
        if not _BEYOND_LINES.search(text) and self._at_end():
            self._append_lines(text)
        else:
            self._interpret(text)
        self._let_go()

    def reachable(self) -> list[str]:
        """Lines that may still change."""
        return [line.rstrip(" ") for line in self._without_last_end()]

    def close(self) -> None:
        """Hand on all that is left."""
        lines, self._lines = self.reachable(), [""]
        self._row = self._column = 0
        if lines:
            self._take(lines)

    def _without_last_end(self) -> list[str]:
        return self._lines if self._lines[-1] else self._lines[:-1]

    def _at_end(self) -> bool:
        return self._row == len(self._lines) - 1 and self._column == len(self._lines[-1])

    def _append_lines(self, text: str) -> None:
        first, *others = text.split("\n")
        self._lines[-1] += first
        self._lines += others
        self._row, self._column = len(self._lines) - 1, len(self._lines[-1])

    def _interpret(self, text: str) -> None:
        position = 0
        for found in _CONTROL.finditer(text):
            self._write(text[position : found.start()])
            position = found.end()
            if found["character"]:
                self._obey_character(found["character"])
            elif found["command"]:
                self._obey(found["command"], found["arguments"])
        rest = text[position:]
        escape = rest.find("\x1b")
        if escape >= 0 and len(rest) - escape < _LONGEST_SEQUENCE:
            rest, self._unfinished = rest[:escape], rest[escape:]
        self._write(rest)

    def _write(self, text: str) -> None:
        text = text.replace("\x1b", "")  # one that begins nothing known
        line = self._lines[self._row]
        end = self._column + len(text)
        if text:
            self._lines[self._row] = line[: self._column].ljust(self._column) + text + line[end:]
            self._column = end

    def _obey_character(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(self._column - 1, 0)
        elif character == "\n":
            self._move(1)
            self._column = 0

    def _obey(self, command: str, arguments: str) -> None:
        number = int(arguments) if arguments.isdecimal() and len(arguments) < 6 else None
        times = max(number or 1, 1)
        if command in "AF":
            self._row = max(self._row - times, 0)
        elif command in "BE":
            self._row = min(self._row + times, len(self._lines) - 1)
        elif command == "C":
            self._column = min(self._column + times, _LONGEST_LINE)
        elif command == "D":
            self._column = max(self._column - times, 0)
        elif command == "G":
            self._column = min(times - 1, _LONGEST_LINE)
        elif command in "JK":
            self._erase(number or 0)
        if command in "EF":
            self._column = 0
        if command == "J" and not number:
            del self._lines[self._row + 1 :]

    def _erase(self, part: int) -> None:
        line = self._lines[self._row]
        if part == 0:
            self._lines[self._row] = line[: self._column]
        elif part == 1:
            self._lines[self._row] = " " * self._column + line[self._column :]
        else:
            self._lines[self._row] = ""

    def _move(self, rows: int) -> None:
        self._row += rows
        while self._row >= len(self._lines):
            self._lines.append("")

    def _let_go(self) -> None:
        if len(self._lines[self._row]) > _LONGEST_LINE:
            self._lines.insert(self._row + 1, "")
            self._row, self._column = self._row + 1, 0
        ready = len(self._lines) - _REACHABLE_LINES
        if ready > 0 and ready <= self._row:
            lines = [line.rstrip(" ") for line in self._lines[:ready]]
            del self._lines[:ready]
            self._row -= ready
            self._take(lines)
