"""Holds: what a model version rests on stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracking_service.presence import found, require_not_deleted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking_service.dataset_records import Dataset
    from tracking_service.records import Artifact, Hold, Run
    from tracking_service.store.tracking_store import TrackingStore


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run with everything that a model version's lineage needs, at one moment."""

    run: Run
    artifacts: Sequence[Artifact]
    datasets: Sequence[Dataset]
    snapshot_us: int


def hold(
    store: TrackingStore, name: str, wanted: Hold, now: int, *, validate_only: bool = False
) -> HeldRun:
    """Hold on to a run for a model version, and read it.

    The hold is kept under the holder's name and never becomes weaker. With `validate_only` it is
    not made.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE when the run is deleted.
    """
    # Locked against changes of its files and against deletion, which look at the holds.
    place = found(store.runs.place_for_change(name), name)
    require_not_deleted(place)
    if not validate_only:
        _keep(store, place.key, wanted, now)
    return HeldRun(
        run=found(store.runs.find(name), name),
        artifacts=store.artifacts.of_run(place),
        datasets=store.datasets.of_run(place.key),
        snapshot_us=now,
    )


def _keep(store: TrackingStore, run_key: int, wanted: Hold, now: int) -> None:
    held = {hold.holder: hold for hold in store.holds.of_run(run_key)}
    present = held.get(wanted.holder)
    if present is None:
        store.holds.add(run_key, wanted, now)
    elif present.level < wanted.level:
        store.holds.raise_level(run_key, wanted)
