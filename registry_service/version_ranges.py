"""Ranges of version numbers, written as npm and most package managers write them.

A range is one or more alternatives, `||` between them; an alternative is one or more comparators
that must all hold. Bounds are kept as sort keys, so that a bound can lie between two numbers:
`<2` excludes 2.0.0 and all its pre-releases.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from registry_service.version_numbers import Part, VersionNumber, parse_number
from service_chassis.errors import StudbookError, invalid_field, required_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LONGEST = 128
_REMEDY = "write it like ~1.2, ^1, 1.x or >=1.0 <2"

_WILDCARD = r"[xX*]"
_PART = rf"0|[1-9]\d*|{_WILDCARD}"
_COMPARATOR = re.compile(
    rf"(?P<sign><=|>=|<|>|=|\^|~)?v?(?P<major>0|[1-9]\d*)"
    rf"(?:\.(?P<minor>{_PART})(?:\.(?P<patch>{_PART})(?P<rest>-[0-9A-Za-z.-]+)?)?)?",
    re.ASCII,
)
_SPACED_SIGN = re.compile(r"(<=|>=|<|>|=|\^|~)\s+")
_HYPHEN = " - "
_ALL_PARTS = 3

_COMPARE: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}
)


@dataclass(frozen=True, slots=True)
class Bound:
    """One side of a range: how the sort key of a number must compare with a key."""

    sign: str
    key: str

    def admits(self, number: VersionNumber) -> bool:
        """Whether the number lies on the right side."""
        return _COMPARE[self.sign](number.sort_key, self.key)


@dataclass(frozen=True, slots=True)
class Alternative:
    """Bounds that must all hold.

    Attributes:
        bounds: The bounds.
        prerelease_cores: Core keys of the pre-releases that were named. Pre-releases of any other
            major.minor.patch do not belong to the range.
    """

    bounds: tuple[Bound, ...]
    prerelease_cores: frozenset[str]

    def includes(self, number: VersionNumber) -> bool:
        """Whether a number belongs to it."""
        if number.prerelease and number.core_key not in self.prerelease_cores:
            return False
        return all(bound.admits(number) for bound in self.bounds)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range as it was written, and what belongs to it."""

    text: str
    alternatives: tuple[Alternative, ...]

    def includes(self, number: VersionNumber) -> bool:
        """Whether a number belongs to the range."""
        return any(alternative.includes(number) for alternative in self.alternatives)


@dataclass(frozen=True, slots=True)
class _Comparator:
    """One comparator as written: a sign, and a number of which so many parts are given."""

    sign: str
    number: VersionNumber
    given: int

    def next(self, parts: int) -> VersionNumber:
        """The first release after all numbers with the same first parts."""
        return self.number.bumped(Part(parts - 1))


def parse_range(text: str, field: str) -> VersionRange:
    """Read a range.

    Args:
        text: What the caller sent.
        field: Name of the request field, for the error.

    Raises:
        StudbookError: FIELD_REQUIRED or FIELD_INVALID.
    """
    if not text.strip():
        raise required_field(field, _REMEDY)
    if len(text) > LONGEST:
        raise invalid_field(field, text, f"at most {LONGEST} characters")
    try:
        alternatives = tuple(map(_alternative, text.split("||")))
    except (ValueError, StudbookError) as error:
        raise invalid_field(field, text, _remedy(text)) from error
    return VersionRange(text, alternatives)


def _remedy(text: str) -> str:
    if text.strip().lower() in {"latest", "*", "x"}:
        return f"whatever is newest is not a choice; name a stage, an alias or a range: {_REMEDY}"
    return _REMEDY


def _alternative(text: str) -> Alternative:
    comparators = list(_comparators(text))
    bounds = [bound for comparator in comparators for bound in _bounds(comparator)]
    named = (comparator.number for comparator in comparators if comparator.number.prerelease)
    return Alternative(tuple(bounds), frozenset(number.core_key for number in named))


def _comparators(text: str) -> Iterator[_Comparator]:
    low, hyphen, high = text.strip().partition(_HYPHEN)
    if hyphen:
        yield _comparator(f">={low.strip()}")
        yield _comparator(f"<={high.strip()}")
        return
    words = _SPACED_SIGN.sub(r"\1", text.replace(",", " ")).split()
    if not words:
        message = "an alternative is empty"
        raise ValueError(message)
    yield from map(_comparator, words)


def _comparator(word: str) -> _Comparator:
    match = _COMPARATOR.fullmatch(word)
    if match is None:
        message = f"{word} is no comparator"
        raise ValueError(message)
    parts = [match["major"]]
    for part in (match["minor"], match["patch"]):
        if part is None or re.fullmatch(_WILDCARD, part):
            break
        parts.append(part)
    whole = ".".join([*parts, *["0"] * (_ALL_PARTS - len(parts))])
    if match["rest"]:
        if len(parts) < _ALL_PARTS:
            message = f"{word} is a pre-release of no number"
            raise ValueError(message)
        whole += match["rest"]
    return _Comparator(match["sign"] or "=", parse_number(whole, "range"), len(parts))


def _bounds(comparator: _Comparator) -> list[Bound]:
    sign, number, given = comparator.sign, comparator.number, comparator.given
    if sign == "^":
        return _from_to(number, comparator.next(_kept(comparator)))
    if sign == "~":
        return _from_to(number, comparator.next(min(given, 2)))
    if given < _ALL_PARTS:
        return _open_bounds(comparator)
    return [Bound(sign, number.sort_key)]


def _open_bounds(comparator: _Comparator) -> list[Bound]:
    """Of a comparator whose number stands for all that begin with it."""
    sign, number, after = comparator.sign, comparator.number, comparator.next(comparator.given)
    if sign == "=":
        return _from_to(number, after)
    if sign == "<":
        return [Bound("<", number.prerelease_key)]
    if sign == "<=":
        return [Bound("<", after.prerelease_key)]
    return [Bound(">=", (after if sign == ">" else number).sort_key)]


def _from_to(lowest: VersionNumber, end: VersionNumber) -> list[Bound]:
    """From a number on, and below the pre-releases of another."""
    return [Bound(">=", lowest.sort_key), Bound("<", end.prerelease_key)]


def _kept(comparator: _Comparator) -> int:
    """How many parts `^` keeps: up to the first that is not 0, of those that are given."""
    number = comparator.number
    parts = (number.major, number.minor, number.patch)[: comparator.given]
    return next((place for place, part in enumerate(parts, 1) if part), comparator.given)
