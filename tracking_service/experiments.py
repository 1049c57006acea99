"""Experiments: made, changed, removed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from service_chassis.errors import already_exists, failed_precondition
from service_chassis.etags import check_etag
from tracking_service.presence import found
from tracking_service.records import Experiment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracking_service.store.tracking_store import TrackingStore


@dataclass(frozen=True, slots=True)
class ExperimentChange:
    """What UpdateExperiment is to change: new values by the names of record fields."""

    name: str
    etag: str
    values: Mapping[str, Any]


def create(
    store: TrackingStore, name: str, description: str, tags: Mapping[str, str], now: int
) -> Experiment:
    """Make an experiment.

    Raises:
        StudbookError: ALREADY_EXISTS.
    """
    stored = store.experiments.add(
        Experiment(
            key=0,
            uid=uuid.uuid4().hex,
            name=name,
            description=description,
            tags=tags,
            create_us=now,
            update_us=now,
            revision=1,
        )
    )
    if stored is None:
        raise already_exists(name, "use it, or choose another id")
    return stored


def update(store: TrackingStore, change: ExperimentChange, now: int) -> Experiment:
    """Change description and tags.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH.
    """
    before = found(store.experiments.find_for_change(change.name), change.name)
    check_etag(change.etag, before.etag, before.name)
    after = replace(before, **change.values)
    if after == before:
        return before
    after = replace(after, update_us=now, revision=before.revision + 1)
    store.experiments.save(after)
    return after


def delete(store: TrackingStore, name: str, etag: str) -> None:
    """Remove an experiment that has no runs.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH, NOT_EMPTY.
    """
    experiment = found(store.experiments.find_for_change(name), name)
    check_etag(etag, experiment.etag, name)
    if store.experiments.has_runs(experiment.key):
        raise failed_precondition(
            "NOT_EMPTY",
            name,
            f"{name} has runs, deleted ones included, which are kept for lineage; "
            "only an experiment without runs can be deleted.",
            resource=name,
        )
    store.experiments.remove(experiment.key)
