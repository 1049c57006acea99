"""Reads the words that filters and orders are written in: fields, texts, values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.errors import StudbookError

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"\w[\w/@-]*")
# Nothing but a space, a parenthesis or the end can follow a value, so a word may hold the rest:
# timestamps, digests and resource names need no quotes.
_WORD = re.compile(r"""[^\s()"'=<>!,\\]+""")
_QUOTES = frozenset("\"'")
# Halves of a character: they are no text in UTF-8, so no database takes them.
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Literal:
    """A value as written.

    Attributes:
        text: The value without quotes and escapes.
        quoted: Whether it stood in quotes, which makes it a text.
        column: Where it begins, counted from 1.
        pattern: The parts before, between and after each `*` that stands for any characters;
            empty when there is no such `*`.
    """

    text: str
    quoted: bool
    column: int
    pattern: tuple[str, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether it is a lone `*`, which stands for any value."""
        return self.pattern == ("", "")


def not_text(text: str) -> int | None:
    """Position of the first character that cannot be stored as text, None when all can."""
    found = _NOT_TEXT.search(text)
    return None if found is None else found.start()


class Scanner:
    """A position in a text, and what can be read from there.

    Args:
        text: The text.
        refuse: Makes the error for a position, counted from 0, and a problem.
    """

    def __init__(self, text: str, refuse: Callable[[int, str], StudbookError]) -> None:
        self.text = text
        self.at = 0
        self._refuse = refuse

    def skip_space(self) -> int:
        """Move to the next character that is no space; returns its position."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def at_end(self) -> bool:
        """Whether nothing but space is left."""
        return self.skip_space() == len(self.text)

    def sees(self, symbol: str) -> bool:
        """Whether a symbol comes next, after space."""
        return self.text.startswith(symbol, self.skip_space())

    def take(self, symbol: str) -> bool:
        """Move past a symbol if it comes next."""
        if not self.sees(symbol):
            return False
        self.at += len(symbol)
        return True

    def match(self, pattern: re.Pattern[str]) -> str:
        """What matches a pattern here; empty when nothing does."""
        match = pattern.match(self.text, self.at)
        return match[0] if match else ""

    def sees_path(self) -> bool:
        """Whether a field's name, perhaps in quotes, begins here."""
        return self._sees_quote() or bool(self.match(_NAME))

    def path(self) -> tuple[str, ...]:
        """The parts of a field: names or quoted names joined by dots."""
        parts = [self._path_part("a field")]
        while self.text.startswith(".", self.at):
            self.at += 1
            parts.append(self._path_part("a name or a quoted name"))
        return tuple(parts)

    def value(self) -> Literal:
        """A quoted text, or a word up to the next space or parenthesis."""
        start = self.skip_space()
        if self._sees_quote():
            return self._string()
        word = self.match(_WORD)
        if not word:
            raise self.expected("a value")
        self.at += len(word)
        pattern = tuple(word.split("*")) if "*" in word else ()
        return Literal(word, quoted=False, column=start + 1, pattern=pattern)

    def expected(self, what: str, *, skip_space: bool = True) -> StudbookError:
        """The error that something else comes next than what is expected."""
        position = self.skip_space() if skip_space else self.at
        found = self.text[position : position + 1]
        return self._refuse(
            position, f"expected {what}, found {quote(found) if found else 'the end'}"
        )

    def _sees_quote(self) -> bool:
        return self.text[self.at : self.at + 1] in _QUOTES

    def _path_part(self, expected: str) -> str:
        if self._sees_quote():
            return self._string().text
        name = self.match(_NAME)
        if not name:
            raise self.expected(expected, skip_space=False)
        self.at += len(name)
        return name

    def _string(self) -> Literal:
        start = self.at
        mark = self.text[start]
        parts = [""]
        text = ""
        position = start + 1
        while (character := self.text[position : position + 1]) != mark:
            is_escape = character == "\\"
            if is_escape:
                position += 1
                character = self.text[position : position + 1]
            if not character:
                raise self._refuse(start, f"the text that begins here lacks its closing {mark}")
            text += character
            if character == "*" and not is_escape:
                parts.append("")
            else:
                parts[-1] += character
            position += 1
        self.at = position + 1
        pattern = tuple(parts) if len(parts) > 1 else ()
        return Literal(text, quoted=True, column=start + 1, pattern=pattern)
