"""Which approvals count for which rule.

Rules want people, and some people would do for several rules. Handing them out one after another
can leave a rule without anybody although there are enough, so this is solved as a bipartite
matching: places of rules on one side, people on the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A place is one of the people that a rule wants: the rule's id and a number.
_Place = tuple[str, int]


def assign(
    wanted: Mapping[str, int], eligible: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Give each rule as many people as it wants, if that can be, and nobody to two rules.

    As many places are filled as can be filled at all (augmenting paths, Kuhn 1955). Earlier rules
    and earlier people come first where there is a choice, so the outcome does not vary.

    Args:
        wanted: How many people each rule wants.
        eligible: Who would do for each rule; without repetition.

    Returns:
        The people of each rule, at most as many as it wants.
    """
    taken: dict[str, _Place] = {}
    for rule, count in wanted.items():
        for number in range(min(count, len(eligible[rule]))):
            _fill((rule, number), eligible, taken, set())
    found: dict[str, list[str]] = {rule: [] for rule in wanted}
    for person, (rule, _) in taken.items():
        found[rule].append(person)
    return found


def _fill(
    place: _Place,
    eligible: Mapping[str, Sequence[str]],
    taken: dict[str, _Place],
    asked: set[str],
) -> bool:
    """Find somebody for a place, if need be by finding somebody else for another one."""
    for person in eligible[place[0]]:
        if person in asked:
            continue
        asked.add(person)
        if person not in taken or _fill(taken[person], eligible, taken, asked):
            taken[person] = place
            return True
    return False
