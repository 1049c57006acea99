"""The stage table: which moves there are, and what they take."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from registry_service.records import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

# None means "registered, nothing more". What was in Production can never be that again; what was
# archived returns by way of Staging or, to undo a mistake, straight into Production.
ALLOWED_MOVES: Mapping[Stage, frozenset[Stage]] = MappingProxyType(
    {
        Stage.NONE: frozenset({Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED}),
        Stage.STAGING: frozenset({Stage.NONE, Stage.PRODUCTION, Stage.ARCHIVED}),
        Stage.PRODUCTION: frozenset({Stage.STAGING, Stage.ARCHIVED}),
        Stage.ARCHIVED: frozenset({Stage.STAGING, Stage.PRODUCTION}),
    }
)


def is_allowed(from_stage: Stage, to_stage: Stage, *, was_in_production: bool) -> bool:
    """Whether the table allows a move."""
    if to_stage is Stage.NONE and was_in_production:
        return False
    return to_stage in ALLOWED_MOVES[from_stage]


def permission_for(from_stage: Stage, to_stage: Stage) -> str:
    """The permission that a move takes: another one into or out of Production."""
    if Stage.PRODUCTION in {from_stage, to_stage}:
        return "models.promote"
    return "models.transition"
