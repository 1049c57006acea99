"""What is logged into a run beside metrics and files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from service_chassis.errors import invalid_field
from service_chassis.validation import MOST_TAGS
from tracking_service.presence import found, require_open
from tracking_service.records import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracking_service.records import Param, ParamScalar, Run, RunRecords
    from tracking_service.run_limits import RunLimits
    from tracking_service.store.tracking_store import TrackingStore


def log(store: TrackingStore, name: str, records: RunRecords, limits: RunLimits, now: int) -> None:
    """Add parameters, tags, datasets, environment and code to a run, all or nothing.

    Raises:
        StudbookError: NOT_FOUND for the run or a dataset, RUN_NOT_ACTIVE, FIELD_INVALID for a
            parameter that is set to another value, or for too many tags, QUOTA_EXCEEDED.
    """
    run = found(store.runs.find_for_records(name), name)
    require_open(run)
    changes = [
        _log_params(store, run, records.params, limits),
        _log_tags(store, run, records.tags),
        _log_datasets(store, run, records, limits),
        _log_surroundings(store, run, records),
    ]
    # The same call once more is no change to the run, but a sign of life.
    heard = replace(run, heartbeat_us=now, state=RunState.RUNNING)
    if heard.state is not run.state or any(changes):
        heard = replace(heard, update_us=now, revision=run.revision + 1)
    store.runs.save(heard)


def begin(store: TrackingStore, run: Run, params: Sequence[Param], limits: RunLimits) -> Run:
    """The run that was just made, with its first parameters.

    Raises:
        StudbookError: FIELD_INVALID for a parameter that is given two values, QUOTA_EXCEEDED.
    """
    if not params:
        return run
    _log_params(store, run, params, limits)
    by_key = {param.key: param for param in params}
    return replace(run, params=tuple(by_key[key] for key in sorted(by_key)))


def _log_params(store: TrackingStore, run: Run, params: Sequence[Param], limits: RunLimits) -> bool:
    known: dict[str, ParamScalar] = {param.key: param.value for param in run.params}
    new = []
    for param in params:
        if param.key not in known:
            known[param.key] = param.value
            new.append(param)
        elif not param.same_value(known[param.key]):
            raise invalid_field(
                f"params[{param.key}]",
                param.value,
                f"it is set to {known[param.key]} already, and a parameter never changes",
            )
    limits.check_params(run.params, new)
    store.run_contents.add_params(run, new)
    return bool(new)


def _log_tags(store: TrackingStore, run: Run, tags: Mapping[str, str]) -> bool:
    merged = {**run.tags, **tags}
    if len(merged) > MOST_TAGS:
        raise invalid_field(
            "tags", f"{len(merged)} tags", f"a run has at most {MOST_TAGS}, older ones included"
        )
    if merged == run.tags:
        return False
    store.run_contents.set_tags(run, merged)
    return True


def _log_datasets(store: TrackingStore, run: Run, records: RunRecords, limits: RunLimits) -> bool:
    known = {(used.dataset, used.role) for used in run.dataset_inputs}
    new = []
    for used in records.dataset_inputs:
        dataset = found(store.datasets.find(used.dataset), used.dataset)
        if (used.dataset, used.role) not in known:
            known.add((used.dataset, used.role))
            new.append((dataset.key, used.role))
    limits.check_inputs(len(run.dataset_inputs), len(new))
    store.run_contents.add_dataset_inputs(run, new)
    return bool(new)


def _log_surroundings(store: TrackingStore, run: Run, records: RunRecords) -> bool:
    changed = False
    if records.environment is not None and records.environment != run.environment:
        store.runs.set_environment(run, records.environment)
        changed = True
    if records.code is not None and records.code != run.code:
        store.runs.set_code(run, records.code)
        changed = True
    return changed
