"""Conditions in CEL (Common Expression Language): checked when they are set, run when they count.

An expression sees two variables, `candidate` and `production`; `FIELDS` says what they hold. What
it can cost is bounded by what it may be: so long, macros (`all`, `exists`, `map` ...) not inside
each other, and the language itself has no loops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel

LONGEST_EXPRESSION = 2048
_MOST_NESTED = 32
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
SIDES = ("candidate", "production")

# What a side holds: None is any value below a key that is the user's, a text a typed value.
FIELDS: dict[str, Any] = {
    "version": "1.2.0",
    "digest": "sha256:",
    "metrics": {
        "*": {
            "last": 1.0,
            "min": 1.0,
            "max": 1.0,
            "mean": 1.0,
            "count": 1,
            "last_step": 1,
        }
    },
    "params": {"*": None},
    "tags": {"*": "text"},
    "datasets": {
        "*": {
            "name": "text",
            "version": "text",
            "digest": "sha256:",
            "format": "text",
            "row_count": 1,
            "size_bytes": 1,
        }
    },
    "code": {
        "repository": "text",
        "commit": "text",
        "branch": "text",
        "dirty": False,
        "entry_point": "text",
    },
    "environment": {
        "python_version": "3.12.1",
        "platform": "text",
        "machine": "text",
        "packages": {"*": "1.0.0"},
        "container_image_digest": "sha256:",
    },
    "files": {"*": {"digest": "sha256:", "size_bytes": 1}},
    "run": {"name": "text", "state": "FINISHED", "tags": {"*": "text"}},
}

_TOKEN = re.compile(
    r"""(?P<text>r?"(?:[^"\\\n]|\\.)*"|r?'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<word>[A-Za-z_]\w*)|(?P<number>\d[\w.]*)|(?P<space>\s+|//[^\n]*)|(?P<sign>.)""",
    re.DOTALL,
)
# Values that a parameter could have, to see whether an expression makes sense with any of them.
_PARAM_SAMPLES = (1.0, "text", True, 1)


class ExpressionError(ValueError):
    """An expression that must not be set; says what is wrong with it."""


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
            text += f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f'["{key}"]'
        return text


@dataclass(frozen=True)
class Expression:
    """An expression that was checked."""

    program: Any
    paths: tuple[Path, ...]


def check(source: str) -> None:
    """Make sure that an expression can be set.

    Raises:
        ExpressionError: It is no CEL, too costly, reads what is not there, or cannot be true.
    """
    expression = compiled(source)
    _check_cost(source)
    for path in expression.paths:
        _check_path(path)
    _check_result(expression)


@lru_cache(maxsize=1024)
def compiled(source: str) -> Expression:
    """An expression ready to be run.

    Raises:
        ExpressionError: It is no CEL.
    """
    if len(source) > LONGEST_EXPRESSION:
        message = f"it has {len(source)} characters; at most {LONGEST_EXPRESSION} are allowed"
        raise ExpressionError(message)
    _check_nesting(source)
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ExpressionError(_first_line(str(error))) from error
    return Expression(program, tuple(_paths(source)))


def _first_line(text: str) -> str:
    """What a parser complains of, with its place: `1:3: syntax error ...`."""
    found = re.search(r"<input>:(\d+):(\d+): (.*)", text)
    if found is None:
        return "it is not an expression"
    return f"line {found[1]}, column {found[2]}: {found[3]}"


def _tokens(source: str) -> list[tuple[str, str]]:
    return [
        (str(word.lastgroup), word.group())
        for word in _TOKEN.finditer(source)
        if word.lastgroup != "space"
    ]


def _check_nesting(source: str) -> None:
    depth = 0
    for kind, word in _tokens(source):
        if kind == "sign":
            depth += (word in "([{") - (word in ")]}")
        if depth > _MOST_NESTED:
            message = f"parentheses and brackets are nested more than {_MOST_NESTED} deep"
            raise ExpressionError(message)


def _check_cost(source: str) -> None:
    """Refuse macros inside macros: their cost is the product of what they go through."""
    tokens = _tokens(source)
    ends: list[int] = []
    depth = 0
    for place, (kind, word) in enumerate(tokens):
        if kind == "sign" and word == "(":
            depth += 1
            if place > 1 and tokens[place - 1][1] in _MACROS and tokens[place - 2][1] == ".":
                if ends:
                    message = (
                        f"{tokens[place - 1][1]}() stands inside another macro; nested, their "
                        "cost has no bound"
                    )
                    raise ExpressionError(message)
                ends.append(depth)
        elif kind == "sign" and word == ")":
            if ends and ends[-1] == depth:
                ends.pop()
            depth -= 1


def _paths(source: str) -> list[Path]:
    tokens = _tokens(source)
    found: dict[Path, None] = {}
    place = 0
    while place < len(tokens):
        kind, word = tokens[place]
        before = tokens[place - 1][1] if place else ""
        if kind == "word" and word in SIDES and before != ".":
            keys, place = _keys(tokens, place)
            found[Path(tuple(keys))] = None
        else:
            place += 1
    return list(found)


def _keys(tokens: list[tuple[str, str]], place: int) -> tuple[list[str], int]:
    """The keys of the path that begins at a place, and the place behind it."""
    keys = [tokens[place][1]]
    place += 1
    while place + 1 < len(tokens):
        sign, (kind, key) = tokens[place][1], tokens[place + 1]
        after = tokens[place + 2][1] if place + 2 < len(tokens) else ""
        if sign == "." and kind == "word" and after != "(":
            keys.append(key)
            place += 2
        elif sign == "[" and kind == "text" and after == "]":
            keys.append(_unquoted(key))
            place += 3
        else:
            break
    return keys, place


def _unquoted(text: str) -> str:
    value: object = cel.evaluate(text)
    return str(value)


def _check_path(path: Path) -> None:
    known: Any = FIELDS
    for depth, key in enumerate(path.keys[1:], 1):
        if not isinstance(known, dict):
            return
        if "*" in known:
            known = known["*"]
        elif key in known:
            known = known[key]
        else:
            there = ".".join(path.keys[:depth])
            message = f"{path} does not exist: {there} has {', '.join(known)}"
            raise ExpressionError(message)


def _check_result(expression: Expression) -> None:
    """Run it on values made up for what it reads: it must be able to give true or false."""
    wrong = ""
    for sample in _PARAM_SAMPLES:
        sides = {side: _made_up(expression, side, sample) for side in SIDES}
        try:
            result = expression.program.execute(sides)
        except RuntimeError as error:
            wrong = str(error).partition(". Check")[0]
        except (TypeError, ValueError) as error:
            wrong = str(error).partition(". CEL")[0]
        except (ArithmeticError, KeyError, LookupError):
            # Depends on the values.
            return
        else:
            if isinstance(result, bool):
                return
            wrong = f"it gives {type(result).__name__}, and must give true or false"
    raise ExpressionError(wrong)


def _made_up(expression: Expression, side: str, sample: object) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for path in expression.paths:
        if path.side != side:
            continue
        known: Any = FIELDS
        inner = made
        for depth, key in enumerate(path.keys[1:], 1):
            known = (
                (known.get("*", known.get(key)) if "*" in known else known[key])
                if isinstance(known, dict)
                else None
            )
            if depth == len(path.keys) - 1:
                inner[key] = _filled(known, sample)
            else:
                inner = inner.setdefault(key, {})
                if not isinstance(inner, dict):
                    break
    return made


def _filled(known: Any, sample: object) -> Any:
    if isinstance(known, dict):
        return {"key" if key == "*" else key: _filled(one, sample) for key, one in known.items()}
    return sample if known is None else known
