"""Conditions in CEL (Common Expression Language): checked when they are set, run when they count.

An expression sees two variables, `candidate` and `production`, as `GateSubject` in the contract
describes them. The library checks it against that description, so that what reads a path that
cannot exist, compares what cannot be compared or gives no truth value is refused at once, with its
line and column. It is run on plain mappings, in which what was not recorded is missing; a missing
value is then an error of its own kind, and not a zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel
from google.protobuf import descriptor_pool

from registry_service.gate_cost import Shape, check_shape, shape_of
from registry_service.gate_syntax import SIDES, Path, tokens, with_checked_divisors
from studbook.registry.v1 import gate_subject_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_EXPRESSION = 2048
_SUBJECT = gate_subject_pb2.GateSubject.DESCRIPTOR
# Around what an expression divides by: with fractions, the language gives infinity for x / 0.0.
_DIVISOR = "divisor_not_zero"
_ISSUE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
# Where the library knows of no place it gives -1, or that without its sign.
_LAST_LINE = 1_000_000
# Whole numbers and fractions can be compared when the expression is run.
_MIXED_NUMBERS = re.compile(
    r"found no matching overload for '(?:_(?:<|<=|>|>=|==|!=)_|@in)' "
    r"applied to '\((?:int|uint|double), (?:int|uint|double|list\((?:int|uint|double)\))\)'"
)
_MISSING = re.compile(r"NOT_FOUND: Key not found in map : ")


class ExpressionError(ValueError):
    """An expression that must not be set; says what is wrong with it."""


class MissingError(LookupError):
    """A value that an expression needed is not there."""


class EvaluationError(ValueError):
    """An expression could not be evaluated; says why."""


@dataclass(frozen=True)
class Expression:
    """An expression that was checked.

    Attributes:
        paths: What it reads, in its order.
        shape: By which its cost is reckoned.
    """

    program: Any
    paths: tuple[Path, ...]
    shape: Shape

    def evaluate(self, activation: Any) -> object:
        """What it gives.

        Args:
            activation: Of `activation`.

        Raises:
            MissingError: It needs a value that is not there.
            EvaluationError: It divides by zero, say.
        """
        try:
            value = self.program.eval(activation)
        except RuntimeError as error:
            raise EvaluationError(_without_code(str(error))) from error
        if value.type() != cel.Type.ERROR:
            return value.value()
        told = str(value.value())
        if _MISSING.match(told):
            raise MissingError(_MISSING.sub("", told).strip('"'))
        raise EvaluationError(_without_code(told))


def check(source: str) -> None:
    """Make sure that an expression can be set.

    Raises:
        ExpressionError: It is no CEL, too costly, reads what is not there, or gives no truth value.
    """
    compiled(source)
    try:
        gives = _checking().compile(source).return_type()
    except RuntimeError as error:
        issues = _issues(str(error))
        if issues:
            raise ExpressionError(issues[0]) from error
    else:
        if gives.name() not in {"BOOL", "DYN"}:
            kind = gives.name().rpartition(".")[2].lower()
            message = f"it gives {kind}, and must give true or false"
            raise ExpressionError(message)
    _check_regexes(source)


@lru_cache(maxsize=1024)
def compiled(source: str) -> Expression:
    """An expression ready to be run.

    Raises:
        ExpressionError: It is no CEL, or too costly.
    """
    if len(source) > LONGEST_EXPRESSION:
        message = f"it has {len(source)} characters; at most {LONGEST_EXPRESSION} are allowed"
        raise ExpressionError(message)
    words = tokens(source)
    shape = shape_of(words)
    problem = check_shape(words, shape)
    if problem:
        raise ExpressionError(problem)
    try:
        # As it was written, so that places are right.
        _running().compile(source, disable_check=True)
        guarded = with_checked_divisors(source, _DIVISOR)
        program = _running().compile(guarded, disable_check=True)
    except RuntimeError as error:
        raise ExpressionError((_issues(str(error)) or [_without_code(str(error))])[0]) from error
    return Expression(program, tuple(dict.fromkeys(read.path for read in shape.reads)), shape)


def activation(sides: Mapping[str, Mapping[str, Any]]) -> Any:
    """The values of both sides, made ready for any number of expressions."""
    return _running().Activation({side: dict(values) for side, values in sides.items()})


def _check_regexes(source: str) -> None:
    """Regular expressions that are written out must be some."""
    words = tokens(source)
    for place, word in enumerate(words[2:], 2):
        if word.kind == "text" and [one.word for one in words[place - 2 : place]] == [
            "matches",
            "(",
        ]:
            value = _running().compile(f'"".matches({word.word})').eval(data={})
            if value.type() == cel.Type.ERROR:
                message = f"character {word.start + 1}: {_without_code(str(value.value()))}"
                raise ExpressionError(message)


def _issues(told: str) -> list[str]:
    """What the library has against an expression, each with its place."""
    found = _ISSUE.findall(told)
    return [
        f"line {line}, column {column}: {_explained(text)}"
        if 0 < int(line) < _LAST_LINE
        else _explained(text)
        for line, column, text in found
        if not _MIXED_NUMBERS.search(text)
    ] or ([] if found else [_without_code(told)])


def _explained(issue: str) -> str:
    """What the library says, with a remedy where one is known."""
    issue = _without_code(issue).replace(" (in container '')", "")
    unknown = re.search(r"undefined field '.*' not found in struct '([\w.]+)'", issue)
    if unknown:
        fields = descriptor_pool.Default().FindMessageTypeByName(unknown[1]).fields
        issue += f"; there are {', '.join(field.name for field in fields)}"
    if re.search(r"'\((int, double|double, int)\)'", issue):
        issue += "; write whole numbers as 1.0, or double(...)"
    if re.search(rf"'_\[_\]' applied to '\({re.escape(_SUBJECT.file.package)}", issue):
        issue += "; write a dot and the name"
    return issue.replace(f"{_SUBJECT.file.package}.", "")


def _without_code(text: str) -> str:
    text = re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", text.strip())
    return text.replace(_DIVISOR, "division")


def _divisor(value: float) -> float:
    if value == 0:
        message = "division by zero"
        raise ZeroDivisionError(message)
    return value


@lru_cache(maxsize=1)
def _running() -> Any:
    overloads = [
        cel.Overload(f"{_DIVISOR}_{name}", return_type=kind, parameters=[kind], impl=_divisor)
        for name, kind in (
            ("int", cel.Type.INT),
            ("uint", cel.Type.UINT),
            ("double", cel.Type.DOUBLE),
        )
    ]
    return cel.NewEnv(
        variables=dict.fromkeys(SIDES, cel.Type.DYN),
        functions=[cel.FunctionDecl(_DIVISOR, overloads)],
    )


@lru_cache(maxsize=1)
def _checking() -> Any:
    subject = cel.Type(_SUBJECT.full_name)
    return cel.NewEnv(descriptor_pool.Default(), variables=dict.fromkeys(SIDES, subject))
