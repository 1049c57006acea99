"""The language of `order_by` fields: fields separated by commas, each perhaps with ` desc`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import invalid_field
from service_chassis.filter_text import Scanner, not_text

if TYPE_CHECKING:
    from service_chassis.errors import StudbookError

LONGEST_ORDER_BY = 4096
MOST_ORDER_TERMS = 8
_DIRECTION = re.compile(r"(?:asc|desc)(?=[\s,]|$)")
_REMEDY = "give fields separated by commas, each optionally followed by desc"


@dataclass(frozen=True)
class OrderTerm:
    """One field of `order_by`."""

    path: tuple[str, ...]
    descending: bool = False


def order_by_invalid(text: str, remedy: str) -> StudbookError:
    """INVALID_ARGUMENT (ORDER_BY_INVALID)."""
    return invalid_field("order_by", text, remedy, reason="ORDER_BY_INVALID")


def parse_order_by(text: str) -> tuple[OrderTerm, ...]:
    """The fields of an `order_by` such as `metrics."val/loss".min desc, create_time`.

    Raises:
        StudbookError: ORDER_BY_INVALID.
    """
    if len(text) > LONGEST_ORDER_BY or not_text(text) is not None:
        raise order_by_invalid(text, f"{_REMEDY}, at most {LONGEST_ORDER_BY} characters in all")

    def refusal(position: int, problem: str) -> StudbookError:
        return order_by_invalid(text, f"{_REMEDY}; column {position + 1}: {problem}")

    scanner = Scanner(text, refusal)
    terms: list[OrderTerm] = []
    while True:
        term = _term(scanner)
        if term.path in {earlier.path for earlier in terms}:
            name = ".".join(term.path)
            raise order_by_invalid(text, f"{name} stands there twice; leave one out")
        terms.append(term)
        if scanner.at_end():
            break
        if not scanner.take(","):
            raise scanner.expected("a comma")
    if len(terms) > MOST_ORDER_TERMS:
        raise order_by_invalid(text, f"give at most {MOST_ORDER_TERMS} fields")
    return tuple(terms)


def _term(scanner: Scanner) -> OrderTerm:
    scanner.skip_space()
    path = scanner.path()
    direction = ""
    if scanner.text[scanner.at : scanner.at + 1].isspace():
        scanner.skip_space()
        direction = scanner.match(_DIRECTION)
        scanner.at += len(direction)
    return OrderTerm(path, direction == "desc")
