"""Text in SQL that means the same on SQLite and PostgreSQL.

LIKE is no base for it: SQLite's ignores case and its pattern characters have to be escaped.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_GLOB_MARK = re.compile(r"[*?\[]")
_LIKE_MARK = re.compile(r"[%_\\]")

# For columns that lists are sorted by: with this type the index serves the order of `by_bytes`.
ByteOrderedText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


class _ByBytes(FunctionElement[str]):
    """A text with the order of its UTF-8 bytes, whatever the collation of the database."""

    type = sa.Text()
    inherit_cache = True
    name = "by_bytes"


@compiles(_ByBytes)
def _as_it_is(element: _ByBytes, compiler: Any, **options: Any) -> str:
    # SQLite's own order is that of the bytes.
    return str(compiler.process(element.clauses, **options))


@compiles(_ByBytes, "postgresql")
def _with_collation(element: _ByBytes, compiler: Any, **options: Any) -> str:
    return f'({compiler.process(element.clauses, **options)} COLLATE "C")'


class _Contains(FunctionElement[bool]):
    """Whether the first text contains the second."""

    type = sa.Boolean()
    inherit_cache = True
    name = "text_contains"


@compiles(_Contains)
def _with_instr(element: _Contains, compiler: Any, **options: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **options)}) > 0)"


@compiles(_Contains, "postgresql")
def _with_strpos(element: _Contains, compiler: Any, **options: Any) -> str:
    return f"(strpos({compiler.process(element.clauses, **options)}) > 0)"


class _Like(FunctionElement[bool]):
    """Whether the first text matches a pattern of GLOB, or the same one written for LIKE."""

    type = sa.Boolean()
    inherit_cache = True
    name = "text_like"


@compiles(_Like)
def _with_glob(element: _Like, compiler: Any, **options: Any) -> str:
    text, glob, _ = element.clauses
    return f"({compiler.process(text, **options)} GLOB {compiler.process(glob, **options)})"


@compiles(_Like, "postgresql")
def _with_like(element: _Like, compiler: Any, **options: Any) -> str:
    text, _, like = element.clauses
    return f"({compiler.process(text, **options)} LIKE {compiler.process(like, **options)})"


def by_bytes(text: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The text, compared and sorted by its UTF-8 bytes."""
    return _ByBytes(text)


def contains(text: sa.ColumnElement[Any], part: str) -> sa.ColumnElement[bool]:
    """Whether a text contains a part, upper and lower case being different."""
    return _Contains(text, sa.literal(part, sa.Text()))


def matches(text: sa.ColumnElement[Any], parts: tuple[str, ...]) -> sa.ColumnElement[bool]:
    """Whether a text consists of these parts with any characters between them.

    Args:
        text: The text.
        parts: Two or more; the first begins the text and the last ends it, `("a", "")` is `a*`.
    """
    match parts:
        case ("", part, ""):
            return contains(text, part)
        case (start, ""):
            return starts_with(text, start)
        case ("", end):
            return ends_with(text, end)
        case _:
            glob = "*".join(_GLOB_MARK.sub(r"[\g<0>]", part) for part in parts)
            like = "%".join(_LIKE_MARK.sub(r"\\\g<0>", part) for part in parts)
            return _Like(text, sa.literal(glob, sa.Text()), sa.literal(like, sa.Text()))


def starts_with(text: sa.ColumnElement[Any], start: str) -> sa.ColumnElement[bool]:
    """Whether a text starts so."""
    return sa.func.substr(text, 1, len(start)) == sa.literal(start, sa.Text())


def ends_with(text: sa.ColumnElement[Any], end: str) -> sa.ColumnElement[bool]:
    """Whether a text ends so."""
    length = sa.func.length(text)
    tail = sa.func.substr(text, length - len(end) + 1)
    # Where the text is shorter than its end, substr would begin before the text.
    return sa.and_(length >= len(end), tail == sa.literal(end, sa.Text()))
