"""The stage table, move by move."""

from __future__ import annotations

import itertools

import pytest

from registry_service.records import Stage
from registry_service.stages import is_allowed, permission_for

MOVES = list(itertools.permutations(Stage, 2))
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
