"""What two resource patterns have in common: never more than both, and mostly no less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.token_scope import common, is_held, workspace_of
from service_chassis.permissions import covers

names = st.sampled_from(["a", "b", "ab", "ba", "aba"])
words = st.sampled_from(["a", "b", "ab", "*", "a*", "*a", "a*b"])


def patterns(segments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    ends = st.sampled_from(["", "/**"])
    bodies = st.lists(segments, max_size=3).map(lambda parts: "/".join(["workspaces", *parts]))
    return st.one_of(st.just("**"), st.tuples(bodies, ends).map("".join))


resources = st.lists(names, max_size=4).map(lambda parts: "/".join(["workspaces", *parts]))


@given(patterns(words), patterns(words), resources)
def test_nothing_is_in_common_that_one_does_not_cover(one: str, other: str, name: str) -> None:
    pattern = common(one, other)
    if pattern and covers(pattern, name):
        assert covers(one, name)
        assert covers(other, name)


@given(patterns(st.one_of(names, st.just("*"))), patterns(words), resources)
def test_all_is_in_common_that_both_cover(one: str, other: str, name: str) -> None:
    both = covers(one, name) and covers(other, name)
    assert both == bool(common(one, other) and covers(common(one, other), name))


@given(patterns(words), patterns(words))
def test_order_does_not_matter(one: str, other: str) -> None:
    assert common(one, other) == common(other, one)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("workspaces/main/**", "workspaces/main/models/wine", "workspaces/main/models/wine"),
        ("workspaces/main/**", "workspaces/main", "workspaces/main"),
        ("workspaces/*/models/*", "workspaces/main/**", "workspaces/main/models/*"),
        ("workspaces/main/**", "workspaces/other/**", ""),
        ("workspaces/main", "workspaces/main/models/wine", ""),
        ("workspaces/a*", "workspaces/*a", ""),
    ],
)
def test_examples(one: str, other: str, expected: str) -> None:
    assert common(one, other) == expected


def test_a_pattern_is_held_when_one_covers_all_of_it() -> None:
    held = ["workspaces/main/models/*", "workspaces/x/**"]
    assert is_held("workspaces/main/models/wine", held)
    assert is_held("workspaces/x/models/**", held)
    assert not is_held("workspaces/main/models/**", held)
    assert not is_held("workspaces/*/models/wine", held)
    assert not is_held("**", held)


def test_the_workspace_of_an_exchange() -> None:
    assert workspace_of(["workspaces/main/models/a", "workspaces/main/**"]) == "workspaces/main"
    for several in (["workspaces/main", "workspaces/b"], ["**"], ["workspaces/*/models/a"], []):
        assert workspace_of(several) == "workspaces/-"
