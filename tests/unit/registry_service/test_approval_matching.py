"""Approvals are handed to rules so that as many people count as can count."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from registry_service.approval_matching import assign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PEOPLE = "abcde"
RULES = st.dictionaries(
    st.sampled_from(["security", "quality", "owners"]),
    st.tuples(st.integers(1, 3), st.lists(st.sampled_from(PEOPLE), unique=True)),
    min_size=1,
)


def most_places(wanted: Mapping[str, int], eligible: Mapping[str, Sequence[str]]) -> int:
    """The largest number of places that any choice of one rule for each person fills."""
    best = 0
    for choice in itertools.product([None, *wanted], repeat=len(PEOPLE)):
        chosen = [
            rule
            for person, rule in zip(PEOPLE, choice, strict=True)
            if rule is not None and person in eligible[rule]
        ]
        best = max(best, sum(min(chosen.count(rule), wanted[rule]) for rule in wanted))
    return best


def test_somebody_in_two_groups_does_not_block() -> None:
    # Taken for "quality" first, ada would leave "security" without anybody.
    found = assign({"quality": 1, "security": 1}, {"quality": ["ada", "bo"], "security": ["ada"]})
    assert found == {"quality": ["bo"], "security": ["ada"]}


def test_one_person_never_counts_twice() -> None:
    found = assign({"quality": 1, "security": 1}, {"quality": ["ada"], "security": ["ada"]})
    assert sorted(found.values()) == [[], ["ada"]]


@given(RULES)
def test_as_many_places_are_filled_as_can_be(rules: dict[str, tuple[int, list[str]]]) -> None:
    wanted = {rule: count for rule, (count, _) in rules.items()}
    eligible = {rule: people for rule, (_, people) in rules.items()}

    found = assign(wanted, eligible)

    given_out = [person for people in found.values() for person in people]
    assert len(given_out) == len(set(given_out))
    assert all(set(found[rule]) <= set(eligible[rule]) for rule in wanted)
    assert all(len(found[rule]) <= wanted[rule] for rule in wanted)
    assert len(given_out) == most_places(wanted, eligible)
