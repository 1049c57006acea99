"""What a resource pattern covers, and what the built-in roles may do."""

from __future__ import annotations

import pytest

from service_chassis.permissions import (
    BUILT_IN_ROLES,
    PatternSet,
    covers,
    is_valid_pattern,
    may_cover_below,
)
from service_chassis.resource_names import LONGEST_NAME

MODEL = "workspaces/main/models/wine"
VERSION = "workspaces/main/models/wine/versions/1.0.0"


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        (MODEL, MODEL, True),
        (MODEL, VERSION, False),
        (f"{MODEL}/**", MODEL, True),
        (f"{MODEL}/**", VERSION, True),
        (f"{MODEL}/**", f"{MODEL}-2", False),
        ("workspaces/main/models/wine*/**", f"{MODEL}-2/versions/1.0.0", True),
        ("workspaces/main/models/*", VERSION, False),
        ("workspaces/*/models/wine", MODEL, True),
        ("workspaces/main/**", "workspaces/main", True),
        ("workspaces/main/**", "workspaces/mainland", False),
        ("workspaces/main/**", "workspaces/other/models/wine", False),
        ("**", VERSION, True),
        ("workspaces/m.in", "workspaces/main", False),
        (MODEL, MODEL + "\n", False),
        (f"{MODEL}/**", f"{MODEL}/a\nb", True),
        ("**", "a\nb", True),
        (MODEL, MODEL.upper(), False),
    ],
)
def test_covers(pattern: str, resource: str, *, expected: bool) -> None:
    assert covers(pattern, resource) is expected


@pytest.mark.parametrize(
    ("pattern", "parent", "expected"),
    [
        (f"{MODEL}/**", "workspaces/main", True),
        (f"{MODEL}/**", "workspaces/other", False),
        ("workspaces/main/**", "workspaces/main/experiments/-", True),
        ("workspaces/main/experiments/wine/**", "workspaces/main/experiments/-", True),
        ("workspaces/main/experiments/wine/**", "workspaces/main/experiments/beer", False),
        ("workspaces/main/models/*", "workspaces/main", True),
        ("workspaces/main", "workspaces/main/models", False),
    ],
)
def test_may_cover_below(pattern: str, parent: str, *, expected: bool) -> None:
    assert may_cover_below(pattern, parent) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "models/wine",
        "workspaces/**/models",
        "workspaces/a b",
        "workspaces//x",
        "workspaces/main/../x/",
        "workspaces/main/models/wine/../secret",
        "workspaces/./main",
        "workspaces/main/**x",
    ],
)
def test_bad_patterns(pattern: str) -> None:
    assert not is_valid_pattern(pattern)


def test_who_may_touch_production() -> None:
    promoting = {role for role, held in BUILT_IN_ROLES.items() if "models.promote" in held}
    assert promoting == {"releaser", "admin"}


def test_deployer_holds_one_permission() -> None:
    assert BUILT_IN_ROLES["deployer"] == {"models.serve"}


def test_names_and_patterns_beyond_all_length_are_covered_by_nothing() -> None:
    long = f"{MODEL}{'x' * LONGEST_NAME}"
    for pattern in ("**", f"{MODEL}*", "workspaces/main/**"):
        assert not PatternSet([pattern]).covers(long)
        assert not PatternSet([pattern]).includes(long)
    assert not is_valid_pattern(long)
