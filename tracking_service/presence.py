"""Whether what a call is about is there, and takes records."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from service_chassis.errors import failed_precondition, not_found

if TYPE_CHECKING:
    from tracking_service.records import Run, RunPlace

Found = TypeVar("Found")


def found(thing: Found | None, name: str) -> Found:
    """The thing that was looked for.

    Raises:
        StudbookError: NOT_FOUND when it is None.
    """
    if thing is None:
        raise not_found(name)
    return thing


def require_not_deleted(run: Run | RunPlace) -> None:
    """Make sure that a run is not deleted.

    Raises:
        StudbookError: RUN_NOT_ACTIVE.
    """
    if run.delete_us is not None:
        raise failed_precondition(
            "RUN_NOT_ACTIVE",
            run.name,
            f"{run.name} is deleted and takes no more records; undelete it first.",
            resource=run.name,
            state="DELETED",
        )


def require_open(run: Run) -> None:
    """Make sure that a run is neither deleted nor ended. A stale one is open.

    Raises:
        StudbookError: RUN_NOT_ACTIVE.
    """
    require_not_deleted(run)
    if run.state.ended:
        raise failed_precondition(
            "RUN_NOT_ACTIVE",
            run.name,
            f"{run.name} is {run.state.name} and takes no more records; "
            "resume it by setting its state to RUNNING.",
            resource=run.name,
            state=run.state.name,
        )
