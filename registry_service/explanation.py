"""Why a version may enter Production, or may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.policy_evaluation import NO_POLICY, Verdict, evaluate
from registry_service.promotion import check_move
from registry_service.records import Cause, Stage
from service_chassis.errors import StudbookError, not_found

if TYPE_CHECKING:
    from registry_service.store import RegistryStore


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the rules would do to a move into Production.

    Attributes:
        obstacle: What stands in the way beside rules; empty when nothing does.
        production: Name of the version that is there; empty without one.
        request: Name of the version's open request; empty without one.
    """

    verdict: Verdict = NO_POLICY
    obstacle: str = ""
    production: str = ""
    request: str = ""

    @property
    def could_enter(self) -> bool:
        """Whether the version could enter, permissions aside."""
        return not self.obstacle and not self.verdict.unmet


def explain(store: RegistryStore, name: str) -> Explanation:
    """What would happen if somebody who may moved a version to Production.

    Raises:
        StudbookError: NOT_FOUND.
    """
    version = store.versions.find(name)
    if version is None:
        raise not_found(name)
    present = store.versions.latest_in(version.model_uid, Stage.PRODUCTION)
    request = store.requests.open_of(version.uid)
    obstacle = ""
    if version.stage is Stage.PRODUCTION:
        obstacle = f"{name} is in Production."
    else:
        try:
            check_move(version, Stage.PRODUCTION)
        except StudbookError as error:
            obstacle = error.message
    return Explanation(
        verdict=evaluate(store, version, present, Cause.REQUESTED),
        obstacle=obstacle,
        production="" if present is None else present.name,
        request="" if request is None else request.name,
    )
