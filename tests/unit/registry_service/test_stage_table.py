"""The stage table, move by move."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from registry_service.records import Stage
from registry_service.stages import is_allowed, permission_for

MOVES = list(itertools.permutations(Stage, 2))
PAGE = Path(__file__).resolve().parents[3] / "docs" / "stages-and-names.md"
REFUSED = {(Stage.PRODUCTION, Stage.NONE), (Stage.ARCHIVED, Stage.NONE)}


@pytest.mark.parametrize(("from_stage", "to_stage"), MOVES)
def test_moves_of_a_version_that_never_was_in_production(
    from_stage: Stage, to_stage: Stage
) -> None:
    allowed = is_allowed(from_stage, to_stage, was_in_production=False)
    assert allowed == ((from_stage, to_stage) not in REFUSED)


@pytest.mark.parametrize(("from_stage", "to_stage"), MOVES)
def test_what_was_in_production_never_is_merely_registered_again(
    from_stage: Stage, to_stage: Stage
) -> None:
    allowed = is_allowed(from_stage, to_stage, was_in_production=True)
    assert allowed == (to_stage is not Stage.NONE)


@pytest.mark.parametrize(("from_stage", "to_stage"), MOVES)
def test_production_takes_a_permission_of_its_own_in_both_directions(
    from_stage: Stage, to_stage: Stage
) -> None:
    touches = Stage.PRODUCTION in {from_stage, to_stage}
    expected = "models.promote" if touches else "models.transition"
    assert permission_for(from_stage, to_stage) == expected


def described() -> dict[tuple[Stage, Stage], str]:
    """The cells of the table in the documentation."""
    lines = PAGE.read_text().partition("| From |")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    return {
        (Stage[row[0].strip("*").upper()], to_stage): cell
        for row in rows
        for to_stage, cell in zip(Stage, row[1:], strict=True)
    }


@pytest.mark.parametrize(("from_stage", "to_stage"), MOVES)
def test_the_documentation_shows_this_table(from_stage: Stage, to_stage: Stage) -> None:
    cell = described()[from_stage, to_stage]
    never_there = is_allowed(from_stage, to_stage, was_in_production=False)
    was_there = is_allowed(from_stage, to_stage, was_in_production=True)
    promote = permission_for(from_stage, to_stage) == "models.promote"
    expected = {
        (True, True): "promote" if promote else "yes",
        (True, False): "yes, unless it was in Production",
        (False, False): "no",
    }
    if from_stage is Stage.NONE:
        # What was in Production never stands in None again.
        was_there = never_there
    assert cell == expected[never_there, was_there]
