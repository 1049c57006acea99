"""The language of `filter` fields: AIP-160 without functions, parsed by recursive descent.

    filter      = [ expression ]
    expression  = sequence { "AND" sequence }
    sequence    = factor { factor }
    factor      = term { "OR" term }
    term        = [ "NOT" | "-" ] ( restriction | "(" expression ")" )
    restriction = value | path comparator ( value | "(" expression ")" )
    comparator  = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
    path        = ( name | string ) { "." ( name | string ) }
    value       = word | string

`OR` binds tighter than `AND`, as AIP-160 wants it: `a=1 AND b=2 OR c=3` means
`a=1 AND (b=2 OR c=3)`. Terms that stand side by side are joined as by `AND`. A value alone is
looked for anywhere. An expression after a comparator consists of values: `a=(1 OR 2)` means
`a=1 OR a=2`. What a value means depends on the field that it is compared with and is decided in
`filter_sql`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from service_chassis.errors import Code, FieldViolation, StudbookError, quote
from service_chassis.filter_text import Literal, Scanner, not_text

LONGEST_FILTER = 16_384
DEEPEST_NESTING = 32
# Each comparison becomes at least one node of an SQL expression; SQLite allows a depth of 1000.
MOST_COMPARISONS = 100
# Each is looked for in all texts of every row there is.
MOST_TEXTS_ALONE = 10


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
class Comparison:
    """A field compared with a value; `column` is where the field begins, counted from 1."""

    path: tuple[str, ...]
    comparator: Comparator
    value: Literal
    column: int


@dataclass(frozen=True)
class Anywhere:
    """A value that is to be found in any of the fields that are searched for it."""

    value: Literal


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


Node = Comparison | Anywhere | Not | And | Or


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
    wrong = not_text(text)
    if wrong is not None:
        name = "the NUL character" if text[wrong] == "\0" else "half a surrogate pair"
        raise filter_invalid(text, wrong + 1, f"{name} is not allowed")
    return _Parser(text).parse() if text.strip() else None


_COMPARATOR = re.compile(r"<=|>=|!=|[=<>:]")
_KEYWORD = re.compile(r"(?:AND|OR|NOT)(?![\w.-])")
_MISSPELT = frozenset({"and", "or", "not"})


@dataclass(frozen=True)
class _Subject:
    """What the values of an expression in parentheses are compared with."""

    path: tuple[str, ...]
    comparator: Comparator
    column: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._scanner = Scanner(text, self._refusal)
        self._depth = 0
        self._comparisons = 0
        self._texts_alone = 0
        self._subject: _Subject | None = None

    def parse(self) -> Filter:
        root = self._expression()
        if not self._scanner.at_end():
            raise self._scanner.expected("AND, OR or the end")
        return Filter(self._scanner.text, root)

    def _expression(self) -> Node:
        operands = self._sequence()
        while self._take_keyword("AND"):
            operands += self._sequence()
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _sequence(self) -> list[Node]:
        operands = [self._factor()]
        scanner = self._scanner
        while not (scanner.at_end() or scanner.sees(")") or self._sees_keyword("AND", "OR")):
            operands.append(self._factor())
        return operands

    def _factor(self) -> Node:
        operands = [self._term()]
        while self._take_keyword("OR"):
            operands.append(self._term())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _term(self) -> Node:
        if self._take_keyword("NOT"):
            return Not(self._simple())
        # Among values, `-5` is a number.
        if self._subject is None and self._scanner.take("-"):
            return Not(self._simple())
        return self._simple()

    def _simple(self) -> Node:
        if self._scanner.sees("("):
            return self._in_parentheses()
        return self._restriction() if self._subject is None else self._compared(self._subject)

    def _in_parentheses(self) -> Node:
        opened = self._scanner.skip_space()
        self._scanner.take("(")
        self._depth += 1
        if self._depth > DEEPEST_NESTING:
            raise self._refusal(opened, f"at most {DEEPEST_NESTING} parentheses can be nested")
        inner = self._expression()
        if not self._scanner.take(")"):
            raise self._scanner.expected(f'AND, OR or the ")" that belongs to column {opened + 1}')
        self._depth -= 1
        return inner

    def _restriction(self) -> Node:
        scanner = self._scanner
        start = scanner.skip_space()
        if self._sees_keyword("AND", "OR", "NOT"):
            raise scanner.expected("a field or a text")
        if not scanner.sees_path():
            return self._anywhere(start)
        path = scanner.path()
        scanner.skip_space()
        comparator = scanner.match(_COMPARATOR)
        if not comparator:
            scanner.at = start
            return self._anywhere(start)
        scanner.at += len(comparator)
        subject = _Subject(path, Comparator(comparator), start + 1)
        if not scanner.sees("("):
            return self._compared(subject)
        return self._compared_with_each(subject)

    def _compared(self, subject: _Subject) -> Comparison:
        self._count(self._scanner.skip_space())
        if self._sees_keyword("AND", "OR", "NOT"):
            raise self._scanner.expected("a value")
        value = self._scanner.value()
        self._check_after("value")
        return Comparison(subject.path, subject.comparator, value, subject.column)

    def _compared_with_each(self, subject: _Subject) -> Node:
        """`a = (1 OR 2)`; `a != (1 OR 2)` is true where `a` is neither."""
        differs = subject.comparator is Comparator.NOT_EQUAL
        self._subject = replace(subject, comparator=Comparator.EQUAL) if differs else subject
        compared = self._in_parentheses()
        self._subject = None
        return _reversed(compared) if differs else compared

    def _anywhere(self, start: int) -> Anywhere:
        self._count(start)
        self._texts_alone += 1
        if self._texts_alone > MOST_TEXTS_ALONE:
            raise self._refusal(
                start,
                f"at most {MOST_TEXTS_ALONE} texts can stand alone; say in which fields to look "
                "for the others",
            )
        if not self._scanner.match(re.compile(r"""[^\s()=<>!:,\\]""")):
            raise self._scanner.expected("a field or a text")
        value = self._scanner.value()
        if not value.quoted and value.text in _MISSPELT:
            raise self._refusal(
                start, f'write {value.text.upper()} in capitals, or "{value.text}" in quotes'
            )
        self._check_after("text")
        return Anywhere(value)

    def _check_after(self, what: str) -> None:
        scanner = self._scanner
        if scanner.text.startswith("(", scanner.at):
            raise self._refusal(scanner.at, "there are no functions to call")
        after = scanner.text[scanner.at : scanner.at + 1]
        if not (after.isspace() or scanner.sees(")") or scanner.at_end()):
            raise scanner.expected(
                f"a space after the {what}; put {what}s with other characters in quotes"
            )

    def _count(self, position: int) -> None:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            raise self._refusal(position, f"a filter has at most {MOST_COMPARISONS} comparisons")

    def _sees_keyword(self, *keywords: str) -> bool:
        self._scanner.skip_space()
        return self._scanner.match(_KEYWORD) in keywords

    def _take_keyword(self, keyword: str) -> bool:
        if not self._sees_keyword(keyword):
            return False
        self._scanner.at += len(keyword)
        return True

    def _refusal(self, position: int, problem: str) -> StudbookError:
        return filter_invalid(self._scanner.text, position + 1, problem)


def _reversed(node: Node) -> Node:
    """What is true of a value just where the node is not; missing values match neither."""
    if isinstance(node, Comparison):
        return replace(node, comparator=Comparator.NOT_EQUAL)
    if isinstance(node, Not):
        return node.operand
    if isinstance(node, And):
        return Or(tuple(_reversed(operand) for operand in node.operands))
    if isinstance(node, Or):
        return And(tuple(_reversed(operand) for operand in node.operands))
    return node
