"""What somebody watches, and how much of it he may see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from registry_service.records import Stage
from registry_service.watch_changes import AliasMove, StageMove

if TYPE_CHECKING:
    from registry_service.watch_changes import Change
    from service_chassis.caller import Caller

READ = "models.read"
SERVE = "models.serve"


class Sight(Enum):
    """How much of a model a caller may see."""

    NOTHING = 0
    # What is in Production, enters or leaves it.
    PRODUCTION = 1
    ALL = 2


def sight_of(caller: Caller, model: str) -> Sight:
    """How much a caller may see of a model."""
    if caller.may(READ, model):
        return Sight.ALL
    return Sight.PRODUCTION if caller.may(SERVE, model) else Sight.NOTHING


def is_pattern(models: str) -> bool:
    """Whether a text stands for several models."""
    return not models or "*" in models


@dataclass(frozen=True, slots=True)
class Interest:
    """What is watched.

    Attributes:
        workspace: Id of the workspace.
        models: Id of a model, or a pattern with `*`; empty for all.
        stages: Stages that are watched.
        aliases: Aliases, or patterns with `*`.

    With neither stages nor aliases everything is watched.
    """

    workspace: str
    models: str = ""
    stages: frozenset[Stage] = frozenset()
    aliases: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """Resource name of the model, when it is one only; else empty."""
        if is_pattern(self.models):
            return ""
        return f"workspaces/{self.workspace}/models/{self.models}"

    @property
    def everything(self) -> bool:
        """Whether all stages and aliases are watched."""
        return not self.stages and not self.aliases

    def wants_model(self, model: str) -> bool:
        """Whether a model is watched, by its resource name."""
        _, workspace, _, model_id = model.split("/")
        if workspace != self.workspace:
            return False
        return not self.models or fnmatchcase(model_id, self.models)

    def wants_stage(self, *stages: Stage | None) -> bool:
        """Whether any of these stages is watched."""
        return self.everything or not self.stages.isdisjoint(stages)

    def wants_alias(self, alias: str) -> bool:
        """Whether an alias is watched."""
        return self.everything or any(fnmatchcase(alias, wanted) for wanted in self.aliases)

    def wants(self, change: Change) -> bool:
        """Whether a change is among what is watched."""
        if not self.wants_model(change.model):
            return False
        match change.move:
            case StageMove(from_stage=before, to_stage=after):
                return self.wants_stage(before, after)
            case AliasMove():
                return self.wants_alias(change.move.alias)


def may_see(sight: Sight, change: Change) -> bool:
    """Whether somebody of that sight may be told of a change."""
    if sight is not Sight.PRODUCTION:
        return sight is Sight.ALL
    move = change.move
    return isinstance(move, StageMove) and Stage.PRODUCTION in {move.from_stage, move.to_stage}


def check_sight(caller: Caller, interest: Interest) -> None:
    """Make sure that a caller may see the one model he names, and what he names of it.

    Of a pattern nothing is refused; what the caller may not see is left out.

    Raises:
        StudbookError: PERMISSION_MISSING.
    """
    if interest.model:
        beyond = interest.aliases or interest.stages - {Stage.PRODUCTION}
        caller.require(READ if beyond else SERVE, interest.model)
