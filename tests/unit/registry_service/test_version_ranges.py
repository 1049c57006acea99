"""Ranges mean what they mean in npm, from which most people know them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from semantic_version import NpmSpec
from semantic_version import Version as SemVer

from registry_service.version_numbers import parse_number
from registry_service.version_ranges import parse_range
from service_chassis.errors import StudbookError


def includes(text: str, number: str) -> bool:
    return parse_range(text, "range").includes(parse_number(number, "version"))


# From the table in the manual of node-semver, and what follows from its rules.
CASES = {
    "~1.2.3": ("1.2.3 1.2.9", "1.2.2 1.3.0 1.2.4-rc.1 1.3.0-rc.1"),
    "~1.2": ("1.2.0 1.2.99", "1.1.9 1.3.0 1.3.0-0"),
    "~1": ("1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-rc.1"),
    "~0": ("0.0.0 0.9.9", "1.0.0"),
    "~0.2.3": ("0.2.3 0.2.9", "0.3.0 0.2.2"),
    "~1.2.3-beta.2": ("1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.2.4", "1.2.3-beta.1 1.2.4-beta.2 1.3.0"),
    "^1": ("1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-rc.1 1.5.0-rc.1"),
    "^1.2.3": ("1.2.3 1.9.0", "1.2.2 2.0.0"),
    "^0.2.3": ("0.2.3 0.2.9", "0.3.0"),
    "^0.0.3": ("0.0.3", "0.0.4 0.1.0"),
    "^0.0": ("0.0.0 0.0.9", "0.1.0"),
    "^0.x": ("0.0.0 0.9.0", "1.0.0"),
    "^1.2.3-beta.2": ("1.2.3-beta.2 1.2.3 1.9.0", "1.2.4-beta.2 1.2.3-beta.1 2.0.0"),
    "1.x": ("1.0.0 1.9.9", "0.9.9 2.0.0"),
    "1.*": ("1.0.0 1.9.9", "2.0.0"),
    "1.2.X": ("1.2.0 1.2.9", "1.3.0"),
    "1": ("1.0.0 1.9.9", "2.0.0"),
    "1.2": ("1.2.0 1.2.9", "1.3.0"),
    "=1.2.0": ("1.2.0", "1.2.1 1.2.0-rc.1"),
    "v1.2.0": ("1.2.0", "1.2.1"),
    ">=1.0 <2": ("1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-rc.1 1.5.0-rc.1"),
    ">=1.0, <2": ("1.0.0 1.9.9", "2.0.0"),
    ">= 1.0  < 2": ("1.0.0 1.9.9", "2.0.0"),
    "<2": ("0.0.0 1.9.9", "2.0.0 2.0.0-rc.1"),
    "<=1.2": ("1.2.9", "1.3.0 1.3.0-rc.1"),
    ">1.2": ("1.3.0", "1.2.9 1.3.0-rc.1"),
    ">1.2.3": ("1.2.4", "1.2.3"),
    "<2.0.0": ("1.9.9", "2.0.0 2.0.0-rc.1"),
    ">=1.0.0-rc.1 <1.0.0": ("1.0.0-rc.1 1.0.0-rc.9", "1.0.0-beta 1.0.0"),
    ">1.0.0-alpha <1.0.0-beta": ("1.0.0-alpha.1", "1.0.0-alpha 1.0.0-beta 1.0.0 0.9.0"),
    "1.2 - 2.3": ("1.2.0 2.3.9", "1.1.9 2.4.0"),
    "1.2.3 - 2.3.4": ("1.2.3 2.3.4", "2.3.5"),
    "~1.2 || ^3": ("1.2.5 3.4.5", "1.3.0 2.0.0 4.0.0"),
}


@pytest.mark.parametrize("text", CASES)
def test_what_belongs_to_a_range(text: str) -> None:
    inside, outside = (numbers.split() for numbers in CASES[text])
    assert [number for number in inside if includes(text, number)] == inside
    assert [number for number in outside if includes(text, number)] == []


small = st.integers(0, 3).map(str)
release = st.tuples(small, small, small).map(".".join)
partial = st.lists(small, min_size=1, max_size=3).map(".".join)
comparator = st.builds(
    "{}{}".format, st.sampled_from(["", "=", "<", "<=", ">", ">=", "~", "^"]), partial
)
ranges = st.lists(
    st.lists(comparator, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3
).map(" || ".join)


@given(ranges, release)
@example("^0.0", "0.1.0")
def test_releases_are_chosen_as_a_library_does(text: str, number: str) -> None:
    assert includes(text, number) == (SemVer(number) in NpmSpec(text))


@given(ranges, release, st.sampled_from(["rc.1", "0", "beta"]))
def test_no_prerelease_unless_one_is_named(text: str, number: str, label: str) -> None:
    assert not includes(text, f"{number}-{label}")


@pytest.mark.parametrize(
    "text",
    [
        *("latest", "LATEST", "*", "x", ">=*", "newest", "1.2.3.4", "~", "1.2-rc.1", "01.2", "=="),
        *(">=1 ||", "|| 1", "1 - ", " - 1", "a - b", "1 - 2 - 3", "1.2.3-", "1.2.3-01", "~>1.2"),
        *("\u0661.x", "1.2.3+build", f"~1.{'2' * 200}", "1\x00"),
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(StudbookError) as caught:
        parse_range(text, "range")
    assert caught.value.reason == "FIELD_INVALID"
    assert caught.value.metadata["field"] == "range"


def test_latest_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(StudbookError, match="name a stage, an alias or a range"):
        parse_range("latest", "range")


def test_an_empty_range_is_required() -> None:
    with pytest.raises(StudbookError) as caught:
        parse_range(" ", "range")
    assert caught.value.reason == "FIELD_REQUIRED"
