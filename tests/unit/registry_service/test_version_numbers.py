"""SemVer numbers and the keys that sort like them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from semantic_version import Version as SemVer

from registry_service.version_numbers import LONGEST, Part, parse_number
from service_chassis.errors import StudbookError

numeric = st.one_of(st.integers(0, 30), st.integers(0, 10**20)).map(str)
alphanumeric = st.text("0123456789ABZabz-", min_size=1, max_size=6).filter(
    lambda text: not text.isdigit()
)
prerelease = st.lists(st.one_of(numeric, alphanumeric), max_size=4).map(".".join)
numbers = st.builds(
    lambda core, pre: ".".join(core) + (f"-{pre}" if pre else ""),
    st.tuples(numeric, numeric, numeric),
    prerelease,
)


@given(numbers, numbers)
@example("1.0.0-alpha", "1.0.0-alpha.1")
@example("1.0.0-alpha", "1.0.0-alpha-b")
@example("1.0.0-alpha.1", "1.0.0-alpha.beta")
@example("1.0.0-rc.2", "1.0.0-rc.10")
@example("1.0.0-rc.1", "1.0.0")
@example("1.9.0", "1.10.0")
def test_keys_sort_by_precedence(left: str, right: str) -> None:
    first, second = parse_number(left, "version"), parse_number(right, "version")
    by_bytes = (first.sort_key.encode() > second.sort_key.encode()) - (
        first.sort_key.encode() < second.sort_key.encode()
    )
    by_library = (SemVer(left) > SemVer(right)) - (SemVer(left) < SemVer(right))
    assert by_bytes == by_library
    assert (first.sort_key == second.sort_key) == (left == right)


@given(numbers)
def test_numbers_keep_their_form(text: str) -> None:
    assert str(parse_number(text, "version")) == text
    assert str(parse_number(f"v{text}", "version", leading_v=True)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0-a..b", "1.0.0+b"),
        *("v1.0.0", "V1.0.0", "1.0.0 ", " 1.0.0", "1.0.0\n", "\u0661.0.0", "latest"),
        f"1.0.0-{'a' * LONGEST}",
    ],
)
def test_what_is_not_semver_is_refused(text: str) -> None:
    with pytest.raises(StudbookError) as caught:
        parse_number(text, "version_id")
    assert caught.value.reason == "VERSION_INVALID"
    assert caught.value.metadata["field"] == "version_id"


def test_an_empty_number_is_required() -> None:
    with pytest.raises(StudbookError) as caught:
        parse_number("", "version_id")
    assert caught.value.reason == "FIELD_REQUIRED"


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("1.2.3", Part.PATCH, "1.2.4"),
        ("1.2.3", Part.MINOR, "1.3.0"),
        ("1.2.3", Part.MAJOR, "2.0.0"),
        ("1.2.3-rc.1", Part.PATCH, "1.2.4"),
    ],
)
def test_one_part_goes_up_by_one(text: str, part: Part, expected: str) -> None:
    assert str(parse_number(text, "version").bumped(part)) == expected
