"""Patterns with stars mean what they seem to mean, and never take long."""

from __future__ import annotations

import re
import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.globs import glob_expression

TEXTS = st.text("ab/:.", max_size=12)
PATTERNS = st.text("ab/:.*", max_size=12)


def fits(pattern: str, text: str, separators: str) -> bool:
    return re.fullmatch(glob_expression(pattern, separators), text) is not None


def oracle(pattern: str, text: str, separators: str) -> bool:
    """By the meaning of the words, letter by letter."""

    @cache
    def from_here(at: int, read: int) -> bool:
        if at == len(pattern):
            return read == len(text)
        goes_on = read < len(text)
        if pattern[at] == "*":
            taken = goes_on and text[read] not in separators and from_here(at, read + 1)
            return taken or from_here(at + 1, read)
        return goes_on and text[read] == pattern[at] and from_here(at + 1, read + 1)

    return from_here(0, 0)


@pytest.mark.parametrize("separators", ["/", "/:"])
@given(PATTERNS, TEXTS)
def test_star_stands_for_any_characters_but_separators(
    separators: str, pattern: str, text: str
) -> None:
    assert fits(pattern, text, separators) == oracle(pattern, text, separators)


@given(st.lists(st.text("ab/", max_size=4), min_size=1, max_size=6), st.data())
def test_every_text_made_from_a_pattern_fits_it(parts: list[str], data: st.DataObject) -> None:
    between = [data.draw(st.text("ab", max_size=4)) for _ in parts[1:]]
    text = parts[0] + "".join(map("".join, zip(between, parts[1:], strict=True)))
    assert fits("*".join(parts), text, "/")


@pytest.mark.parametrize("end", ["", "b", "*b", "/c"])
def test_pattern_made_to_take_hours_takes_none(end: str) -> None:
    began = time.process_time()
    assert not fits("*a" * 100 + "b*" + end, "a" * 1000, "/")
    assert time.process_time() - began < 5
