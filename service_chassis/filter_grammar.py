"""The language of `filter` fields: a subset of AIP-160, parsed by recursive descent.

    filter      = [ expression ]
    expression  = sequence { "AND" sequence }
    sequence    = factor { factor }
    factor      = term { "OR" term }
    term        = [ "NOT" | "-" ] ( restriction | "(" expression ")" )
    restriction = path ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) value
    path        = name { "." ( name | string ) }
    value       = word | string

`OR` binds tighter than `AND`, as AIP-160 wants it: `a=1 AND b=2 OR c=3` means
`a=1 AND (b=2 OR c=3)`. Terms that stand side by side are joined as by `AND`. What a value means
depends on the field that it is compared with and is decided in `filter_sql`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from service_chassis.errors import Code, FieldViolation, StudbookError, quote

LONGEST_FILTER = 4096
DEEPEST_NESTING = 32
# Each comparison becomes at least one node of an SQL expression; SQLite allows a depth of 1000.
MOST_COMPARISONS = 100


class Comparator(Enum):
    """How a field is compared with a value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    HAS = ":"


@dataclass(frozen=True)
class Literal:
    """A value as written.

    Attributes:
        text: The value without quotes and escapes.
        quoted: Whether it stood in quotes, which makes it a text.
        column: Where it begins, counted from 1.
        open_start: Whether it begins with `*` standing for any characters; `text` includes it.
        open_end: The same at the end.
    """

    text: str
    quoted: bool
    column: int
    open_start: bool = False
    open_end: bool = False

    @property
    def is_any(self) -> bool:
        """Whether it is a lone `*`, which stands for any value."""
        return self.text == "*" and self.open_start


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value; `column` is where the field begins, counted from 1."""

    path: tuple[str, ...]
    comparator: Comparator
    value: Literal
    column: int


@dataclass(frozen=True)
class Not:
    """True where the operand is not."""

    operand: Node


@dataclass(frozen=True)
class And:
    """True where all operands are."""

    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """True where one operand is."""

    operands: tuple[Node, ...]


Node = Comparison | Not | And | Or


@dataclass(frozen=True)
class Filter:
    """A parsed filter: its text, for errors, and its tree."""

    text: str
    root: Node


def filter_invalid(text: str, column: int, problem: str) -> StudbookError:
    """INVALID_ARGUMENT (FILTER_INVALID) for the character at a column, counted from 1."""
    return StudbookError(
        Code.INVALID_ARGUMENT,
        "FILTER_INVALID",
        f"filter, column {column}: {problem}.",
        metadata={"filter": quote(text)[1:-1], "column": str(column)},
        fields=(FieldViolation("filter", f"column {column}: {problem}"),),
    )


def parse_filter(text: str) -> Filter | None:
    """Parse a filter; None when it is empty and so lets everything through.

    Raises:
        StudbookError: FILTER_INVALID, with the column and what was expected there.
    """
    if len(text) > LONGEST_FILTER:
        raise filter_invalid(
            text, LONGEST_FILTER + 1, f"a filter has at most {LONGEST_FILTER} characters"
        )
    if "\0" in text:
        raise filter_invalid(text, text.index("\0") + 1, "the NUL character is not allowed")
    parser = _Parser(text)
    return parser.parse() if text.strip() else None


_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"\w[\w-]*")
_COMPARATOR = re.compile(r"<=|>=|!=|[=<>:]")
# Nothing but a space, a parenthesis or the end can follow a value, so a word may hold the rest:
# timestamps, digests and resource names need no quotes.
_WORD = re.compile(r"""[^\s()"'=<>!,\\]+""")
_KEYWORD = re.compile(r"(?:AND|OR|NOT)(?![\w.-])")
_QUOTES = frozenset("\"'")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._comparisons = 0

    def parse(self) -> Filter:
        root = self._expression()
        if not self._at_end():
            raise self._expected("AND, OR or the end")
        return Filter(self._text, root)

    def _expression(self) -> Node:
        operands = self._sequence()
        while self._take_keyword("AND"):
            operands += self._sequence()
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _sequence(self) -> list[Node]:
        operands = [self._factor()]
        while not (self._at_end() or self._sees(")") or self._sees_keyword("AND", "OR")):
            operands.append(self._factor())
        return operands

    def _factor(self) -> Node:
        operands = [self._term()]
        while self._take_keyword("OR"):
            operands.append(self._term())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _term(self) -> Node:
        if self._take_keyword("NOT") or self._take("-"):
            return Not(self._simple())
        return self._simple()

    def _simple(self) -> Node:
        opened = self._skip_space()
        if not self._take("("):
            return self._restriction()
        self._depth += 1
        if self._depth > DEEPEST_NESTING:
            raise self._refusal(opened, f"at most {DEEPEST_NESTING} parentheses can be nested")
        inner = self._expression()
        if not self._take(")"):
            raise self._expected(f'AND, OR or the ")" that belongs to column {opened + 1}')
        self._depth -= 1
        return inner

    def _restriction(self) -> Comparison:
        start = self._skip_space()
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            raise self._refusal(start, f"a filter has at most {MOST_COMPARISONS} comparisons")
        path = self._path()
        self._skip_space()
        match = _COMPARATOR.match(self._text, self._at)
        if match is None:
            raise self._expected("one of = != < <= > >= :")
        self._at = match.end()
        return Comparison(path, Comparator(match[0]), self._value(), start + 1)

    def _path(self) -> tuple[str, ...]:
        if self._sees_keyword("AND", "OR", "NOT"):
            raise self._expected("a field")
        parts = [self._name("a field")]
        while self._text.startswith(".", self._at):
            self._at += 1
            quoted = self._text[self._at : self._at + 1] in _QUOTES
            parts.append(self._string().text if quoted else self._name("a name or a quoted name"))
        return tuple(parts)

    def _name(self, expected: str) -> str:
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._expected(expected, skip_space=False)
        self._at = match.end()
        return match[0]

    def _value(self) -> Literal:
        start = self._skip_space()
        if self._text[start : start + 1] in _QUOTES:
            value = self._string()
        else:
            match = _WORD.match(self._text, start)
            if match is None or self._sees_keyword("AND", "OR", "NOT"):
                raise self._expected("a value")
            self._at = match.end()
            word = match[0]
            value = Literal(
                word,
                quoted=False,
                column=start + 1,
                open_start=word.startswith("*"),
                open_end=word.endswith("*"),
            )
        if not (self._text[self._at : self._at + 1].isspace() or self._sees(")") or self._at_end()):
            raise self._expected(
                "a space after the value; put values with other characters in quotes"
            )
        return value

    def _string(self) -> Literal:
        start = self._at
        mark = self._text[start]
        characters: list[str] = []
        escaped = [False]
        position = start + 1
        while True:
            character = self._text[position : position + 1]
            if character == mark:
                break
            is_escape = character == "\\"
            if is_escape:
                position += 1
                character = self._text[position : position + 1]
            if not character:
                raise self._refusal(start, f"the text that begins here lacks its closing {mark}")
            characters.append(character)
            escaped.append(is_escape)
            position += 1
        self._at = position + 1
        text = "".join(characters)
        return Literal(
            text,
            quoted=True,
            column=start + 1,
            open_start=text.startswith("*") and not escaped[1],
            open_end=text.endswith("*") and not escaped[-1],
        )

    def _skip_space(self) -> int:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _at_end(self) -> bool:
        return self._skip_space() == len(self._text)

    def _sees(self, symbol: str) -> bool:
        return self._text.startswith(symbol, self._skip_space())

    def _take(self, symbol: str) -> bool:
        if not self._sees(symbol):
            return False
        self._at += len(symbol)
        return True

    def _sees_keyword(self, *keywords: str) -> bool:
        match = _KEYWORD.match(self._text, self._skip_space())
        return match is not None and match[0] in keywords

    def _take_keyword(self, keyword: str) -> bool:
        if not self._sees_keyword(keyword):
            return False
        self._at += len(keyword)
        return True

    def _expected(self, what: str, *, skip_space: bool = True) -> StudbookError:
        position = self._skip_space() if skip_space else self._at
        found = self._text[position : position + 1]
        return self._refusal(
            position, f"expected {what}, found {quote(found) if found else 'the end'}"
        )

    def _refusal(self, position: int, problem: str) -> StudbookError:
        return filter_invalid(self._text, position + 1, problem)
