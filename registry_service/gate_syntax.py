"""What can be told of an expression in CEL from its words alone.

The library checks syntax and types, and gives no tree; what is looked for here is which values an
expression reads, what it goes through, and by what it divides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDES = ("candidate", "production")
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_SIGNS_BEFORE_VALUE = frozenset({"-", "!"})
_NAME = re.compile(r"[A-Za-z_]\w*")
_OPENING, _CLOSING = "([{", ")]}"

_PLAIN = r'"""(?:[^\\]|\\.)*?"""|' + r"'''(?:[^\\]|\\.)*?'''" + r'|"(?:[^"\\\n]|\\.)*"'
_TOKEN = re.compile(
    # Raw texts know no escapes.
    r"""(?P<raw>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*'))"""
    rf"""|(?P<text>[bB]?(?:{_PLAIN}|'(?:[^'\\\n]|\\.)*'))"""
    r"""|(?P<quoted>`[^`\n]*`)|(?P<word>[A-Za-z_]\w*)|"""
    r"""(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[uU]?)"""
    r"""|(?P<space>\s+|//[^\n]*)|(?P<sign>.)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an expression; `kind` is text, word, number or sign.

    Attributes:
        word: As it was written.
        start: Of its first character.
    """

    kind: str
    word: str
    start: int

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.start + len(self.word)

    @property
    def is_value(self) -> bool:
        """Whether a value can end with it."""
        return self.kind != "sign" or self.word in {")", "]", "}"}


@dataclass(frozen=True, slots=True)
class Path:
    """A value that an expression reads: `candidate`, `metrics`, `val/acc`, `last`."""

    keys: tuple[str, ...]

    @property
    def side(self) -> str:
        """`candidate` or `production`."""
        return self.keys[0]

    def __str__(self) -> str:
        text = self.keys[0]
        for key in self.keys[1:]:
            text += f".{key}" if _NAME.fullmatch(key) else f'["{key}"]'
        return text


@dataclass(frozen=True, slots=True)
class Read:
    """One place where an expression reads a path: its first token and the one behind it."""

    path: Path
    first: int
    behind: int


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro: what it goes through, and what it does with each entry.

    Attributes:
        name: `all`, `exists` and so on.
        place: Token of its name.
        opening: Token of the parenthesis after it.
        closing: Token of the one that belongs to it.
    """

    name: str
    place: int
    opening: int
    closing: int

    def holds(self, place: int) -> bool:
        """Whether a token stands between its parentheses."""
        return self.opening < place < self.closing


def tokens(source: str) -> tuple[Token, ...]:
    """The words of an expression, without space and comments."""
    return tuple(
        Token("text" if word.lastgroup == "raw" else str(word.lastgroup), word[0], word.start())
        for word in _TOKEN.finditer(source)
        if word.lastgroup != "space"
    )


def reads(words: Sequence[Token]) -> tuple[Read, ...]:
    """Every place where `candidate` or `production` is read."""
    found = []
    place = 0
    while place < len(words):
        word = words[place]
        member = place > 0 and words[place - 1].word == "."
        if word.kind == "word" and word.word in SIDES and not member:
            keys, behind = _keys(words, place)
            found.append(Read(Path(keys), place, behind))
            place = behind
        else:
            place += 1
    return tuple(found)


def _keys(words: Sequence[Token], place: int) -> tuple[tuple[str, ...], int]:
    keys = [words[place].word]
    place += 1
    while place + 1 < len(words):
        sign, key = words[place].word, words[place + 1]
        after = words[place + 2].word if place + 2 < len(words) else ""
        if sign == "." and key.kind in {"word", "quoted"} and after != "(":
            keys.append(key.word.strip("`"))
            place += 2
        elif sign == "[" and key.kind == "text" and after == "]":
            text = unquoted(key.word)
            if text is None:
                break
            keys.append(text)
            place += 3
        else:
            break
    return tuple(keys), place


def unquoted(text: str) -> str | None:
    """What a plain text says; None for bytes and for texts with escapes but that of a quote."""
    found = re.fullmatch(r"""(r?)(\"{3}|'{3}|"|')(.*)\2""", text, re.DOTALL | re.IGNORECASE)
    if found is None:
        return None
    if found[1]:
        return found[3]
    plain = re.sub(r"""\\(["'\\`?])""", "", found[3])
    return None if "\\" in plain else re.sub(r"""\\(["'\\`?])""", r"\1", found[3])


def macros(words: Sequence[Token]) -> tuple[Macro, ...]:
    """The macros of an expression whose brackets match."""
    pairs = brackets(words)
    return tuple(
        Macro(word.word, place, place + 1, pairs[place + 1])
        for place, word in enumerate(words)
        if word.word in MACROS and place and words[place - 1].word == "." and place + 1 in pairs
        if words[place + 1].word == "("
    )


def brackets(words: Sequence[Token]) -> dict[int, int]:
    """The closing bracket of each opening one."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for place, word in enumerate(words):
        if word.kind != "sign":
            continue
        if word.word in _OPENING:
            opened.append(place)
        elif word.word in _CLOSING and opened:
            pairs[opened.pop()] = place
    return pairs


def deepest(words: Sequence[Token]) -> int:
    """How deep brackets are nested."""
    depth = most = 0
    for word in words:
        if word.kind == "sign":
            depth += (word.word in _OPENING) - (word.word in _CLOSING)
            most = max(most, depth)
    return most


def written_lists(words: Sequence[Token]) -> list[tuple[int, int]]:
    """The brackets of lists that are written out, `[1, 2]`, unlike those of an index, `x[1]`."""
    return [
        (first, last)
        for first, last in brackets(words).items()
        if words[first].word == "[" and not (first and words[first - 1].is_value)
    ]


def with_checked_divisors(source: str, function: str) -> str:
    """The expression with a function around all that it divides by.

    Args:
        source: The expression.
        function: Name of the function.
    """
    words = tokens(source)
    pairs = brackets(words)
    insertions: list[tuple[int, str]] = []
    for place, word in enumerate(words):
        if word.kind == "sign" and word.word in "/%" and place + 1 < len(words):
            behind = _operand(words, pairs, place + 1)
            insertions.append((words[place + 1].start, f"{function}("))
            insertions.append((words[behind - 1].end, ")"))
    for position, text in sorted(insertions, key=lambda one: one[0], reverse=True):
        source = source[:position] + text + source[position:]
    return source


def _operand(words: Sequence[Token], pairs: dict[int, int], place: int) -> int:
    """The token behind the value that begins at a place: `-x.y["z"].f(1)` or `(a + b)`."""
    last = len(words)
    while place < last - 1 and words[place].word in _SIGNS_BEFORE_VALUE:
        place += 1
    place = pairs.get(place, place) + 1
    while place < last:
        sign = words[place].word
        if sign == "." and place + 1 < last:
            place += 2
        elif sign in {"(", "[", "{"} and place in pairs:
            place = pairs[place] + 1
        else:
            break
    return place
