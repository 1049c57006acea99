"""Runs: made, changed, deleted and taken back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from service_chassis.errors import already_exists, failed_precondition, invalid_field
from service_chassis.etags import check_etag
from tracking_service.presence import found, require_not_deleted
from tracking_service.records import HoldLevel, Run, RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.caller import Principal
    from tracking_service.records import NewRun
    from tracking_service.store.tracking_store import TrackingStore


# What stands in a run that has not ended in the place of how it ended.
_NOT_ENDED: dict[str, Any] = {"end_us": None, "state_reason": "", "exit_code": None, "signal": ""}


@dataclass(frozen=True, slots=True)
class RunChange:
    """What UpdateRun is to change: new values by the names of record fields."""

    name: str
    etag: str
    values: Mapping[str, Any]


def create(store: TrackingStore, new: NewRun, creator: Principal, now: int) -> Run:
    """Make a run in state RUNNING.

    Raises:
        StudbookError: NOT_FOUND for the experiment, ALREADY_EXISTS.
    """
    experiment = found(store.experiments.key_for_new_run(new.experiment), new.experiment)
    uid = uuid.uuid4().hex
    run = Run(
        key=0,
        experiment_key=experiment,
        uid=uid,
        name=f"{new.experiment}/runs/{new.run_id or uid}",
        workspace=new.experiment.split("/")[1],
        display_name=new.display_name,
        description=new.description,
        state=RunState.RUNNING,
        state_reason="",
        creator=creator,
        start_us=new.start_us,
        end_us=None,
        create_us=now,
        update_us=now,
        delete_us=None,
        heartbeat_us=now,
        revision=1,
        environment=None,
        code=None,
        tags=new.tags,
    )
    stored = store.runs.add(run)
    if stored is None:
        raise already_exists(run.name, "choose another run_id, or leave it empty to be given one")
    return stored


def update(store: TrackingStore, change: RunChange, now: int) -> Run:
    """Change names, tags, state and times.

    A run that is set to RUNNING loses its end and how it came to it, unless these are set too.
    Setting the state is a sign of life; changing names and tags is none, as people do that too.
    Times are of the callers' clocks, so an end may lie before the start.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH, RUN_NOT_ACTIVE when deleted, FIELD_INVALID for
            the end of a run that has not ended.
    """
    before = found(store.runs.find_for_change(change.name), change.name)
    check_etag(change.etag, before.etag, before.name)
    require_not_deleted(before)
    values = dict(change.values)
    if values.get("state") is RunState.RUNNING and before.state is not RunState.RUNNING:
        values = {**_NOT_ENDED, **values}
    after = replace(before, **values)
    _check_end(after)
    heard_us = now if "state" in values else before.heartbeat_us
    if after == before:
        if "state" in values:
            store.liveness.hear(before.key, now)
        return replace(before, heartbeat_us=heard_us)
    after = replace(after, update_us=now, heartbeat_us=heard_us, revision=before.revision + 1)
    store.runs.save(after)
    if after.tags != before.tags:
        store.run_contents.set_tags(after, after.tags)
    return after


def delete(store: TrackingStore, name: str, etag: str, now: int) -> Run:
    """Delete a run, softly: it stays readable under its name. Repeating it changes nothing.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH, RESOURCE_HELD.
    """
    before = found(store.runs.find_for_change(name), name)
    check_etag(etag, before.etag, name)
    if before.delete_us is not None:
        return before
    for hold in store.holds.of_run(before.key):
        if hold.level >= HoldLevel.RUN:
            raise failed_precondition(
                "RESOURCE_HELD",
                name,
                f"{name} cannot be deleted: {hold.holder}, which is or was in Production, "
                "rests on it.",
                resource=name,
                holder=hold.holder,
            )
    return _saved(store, replace(before, delete_us=now), now)


def undelete(store: TrackingStore, name: str, now: int) -> Run:
    """Take a deletion back. A run that is not deleted stays as it is.

    Raises:
        StudbookError: NOT_FOUND.
    """
    before = found(store.runs.find_for_change(name), name)
    if before.delete_us is None:
        return before
    return _saved(store, replace(before, delete_us=None), now)


def hear(store: TrackingStore, name: str, now: int) -> RunState:
    """Note that a run's program is alive: a stale run is RUNNING again, an ended one stays ended.

    Returns:
        Where the run stands now.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE when deleted.
    """
    place = found(store.runs.place(name), name)
    require_not_deleted(place)
    if place.state.ended:
        return place.state
    if store.liveness.hear(place.key, now):
        return RunState.RUNNING
    # It ended between the two statements.
    return found(store.runs.place(name), name).state


def _check_end(run: Run) -> None:
    if run.state.ended:
        return
    end = {
        "run.end_time": run.end_us,
        "run.exit_code": run.exit_code,
        "run.signal": run.signal or None,
    }
    for field, value in end.items():
        if value is not None:
            raise invalid_field(
                field, value, f"a run that is {run.state.name} has no end; set its state, too"
            )


def _saved(store: TrackingStore, run: Run, now: int) -> Run:
    after = replace(run, update_us=now, revision=run.revision + 1)
    store.runs.save(after)
    return after
