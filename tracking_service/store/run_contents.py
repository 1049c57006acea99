"""Queries on what was logged into runs: parameters, tags, datasets, summaries of metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from service_chassis.resource_names import DATASET_VERSION
from tracking_service.records import DatasetInput, Param
from tracking_service.run_view import EVERYTHING
from tracking_service.store.held_rows import HeldRows
from tracking_service.store.metrics import SUMMARY, summary_record
from tracking_service.tables import (
    dataset_inputs,
    datasets,
    metric_series,
    metric_writers,
    params,
    runs,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tracking_service.records import MetricSummary, ParamScalar, Run
    from tracking_service.run_view import RunView


# Kinds of parameters. No enum: reading a page of runs compares thousands, and that costs a fifth.
_TEXT, _WHOLE, _DOUBLE, _TRUTH = range(1, 5)

# What is read at once. Summaries take some 100 bytes each in an answer, and clients take 4 MiB.
MOST_METRICS = 20_000
MOST_PARAM_BYTES = 16 * 1024 * 1024
# Runs whose metrics are counted in one query.
_RUNS_COUNTED = 100


class Held(NamedTuple):
    """What runs hold, by the keys of the runs; those that hold nothing of a kind are left out."""

    params: Mapping[int, list[Param]]
    tags: Mapping[int, dict[str, str]]
    metrics: Mapping[int, list[MetricSummary]]
    dataset_inputs: Mapping[int, list[DatasetInput]]
    # When a writer of metrics was last heard of.
    heard_us: Mapping[int, int]


class RunContents:
    """What runs hold, within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of(self, keys: Collection[int], view: RunView = EVERYTHING) -> Held:
        """What the runs hold of what is wanted, in one query for each kind."""
        return Held(
            params=self._params(keys, view) if view.wants("params") else {},
            tags=self._tags(keys, view) if view.wants("tags") else {},
            metrics=self._metrics(keys, view) if view.wants("metrics") else {},
            dataset_inputs=self._dataset_inputs(keys) if view.wants("dataset_inputs") else {},
            heard_us=self._heard(keys) if view.wants("heartbeat_time") else {},
        )

    def readable(self, rows: Sequence[sa.Row[Any]], view: RunView) -> int:
        """How many runs, from the first on, hold so little of what is wanted that it can be read.

        Args:
            rows: Rows of `runs`, with `id` and `param_bytes`.
            view: What is wanted; entries that it names one by one are not counted.
        """
        with_metrics, with_params = (
            view.wants(field) and field not in view.keys for field in ("metrics", "params")
        )
        metrics = param_bytes = 0
        for start in range(0, len(rows), _RUNS_COUNTED):
            part = rows[start : start + _RUNS_COUNTED]
            keys = [row.id for row in part]
            counted = _METRIC_COUNTS.read(self._connection, keys) if with_metrics else ()
            counts = {row.run: row.metrics for row in counted}
            for place, row in enumerate(part, start):
                metrics += counts.get(row.id, 0)
                param_bytes += row.param_bytes if with_params else 0
                if place and (metrics > MOST_METRICS or param_bytes > MOST_PARAM_BYTES):
                    return place
        return len(rows)

    def add_params(self, run: Run, new: Collection[Param]) -> None:
        """Store parameters that the run does not have yet; the run is locked."""
        if new:
            rows = [
                {"run": run.key, "experiment": run.experiment_key, **param_row(param)}
                for param in new
            ]
            self._connection.execute(_ADD_PARAMS, rows)
            size = sum(param.size for param in new)
            self._connection.execute(_MORE_PARAM_BYTES, {"run_key": run.key, "more": size})

    def set_tags(self, run: Run, new: Mapping[str, str]) -> None:
        """Make these the run's tags, in place of all it had; the run is locked."""
        self._connection.execute(_REMOVE_TAGS, {"run_key": run.key})
        self.add_tags(run, new)

    def add_tags(self, run: Run, new: Mapping[str, str]) -> None:
        """Store tags of keys that the run does not have yet; the run is locked or new."""
        if new:
            rows = [
                {"run": run.key, "experiment": run.experiment_key, "key": key, "value": value}
                for key, value in new.items()
            ]
            self._connection.execute(_ADD_TAGS, rows)

    def add_dataset_inputs(self, run: Run, inputs: Iterable[tuple[int, str]]) -> None:
        """Store uses of datasets, each a dataset's key and a role, that the run does not have."""
        rows = [{"run": run.key, "dataset": dataset, "role": role} for dataset, role in inputs]
        if rows:
            self._connection.execute(_ADD_DATASET_INPUTS, rows)

    def _params(self, keys: Collection[int], view: RunView) -> Mapping[int, list[Param]]:
        found = defaultdict(list)
        for run, key, *stored in _PARAMS.read(self._connection, keys, view.keys.get("params")):
            found[run].append(Param(key, _param_value(*stored)))
        return found

    def _tags(self, keys: Collection[int], view: RunView) -> Mapping[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for run, key, value in _TAGS.read(self._connection, keys, view.keys.get("tags")):
            found[run][key] = value
        return found

    def _metrics(self, keys: Collection[int], view: RunView) -> Mapping[int, list[MetricSummary]]:
        found = defaultdict(list)
        for run, *summary in _METRICS.read(self._connection, keys, view.keys.get("metrics")):
            found[run].append(summary_record(*summary))
        return found

    def _dataset_inputs(self, keys: Collection[int]) -> Mapping[int, list[DatasetInput]]:
        found = defaultdict(list)
        for row in _DATASET_INPUTS.read(self._connection, keys):
            name = DATASET_VERSION.format(
                workspace=row.workspace, dataset=row.dataset, version=row.version
            )
            found[row.run].append(DatasetInput(dataset=name, role=row.role, digest=row.digest))
        return found

    def _heard(self, keys: Collection[int]) -> Mapping[int, int]:
        return {row.run: row.heard for row in _HEARD.read(self._connection, keys)}


_PARAMS = HeldRows(
    sa.select(
        params.c.run,
        params.c.key,
        params.c.kind,
        params.c.text_value,
        params.c.int_value,
        params.c.number_value,
    ).order_by(params.c.run, params.c.key),
    params,
)
_TAGS = HeldRows(
    sa.select(tags.c.run, tags.c.key, tags.c.value).order_by(tags.c.run, tags.c.key), tags
)
_METRICS = HeldRows(
    sa.select(metric_series.c.run, *SUMMARY).order_by(metric_series.c.run, metric_series.c.key),
    metric_series,
)
_METRIC_COUNTS = HeldRows(
    sa.select(metric_series.c.run, sa.func.count().label("metrics")).group_by(metric_series.c.run),
    metric_series,
)
_DATASET_INPUTS = HeldRows(
    sa.select(
        dataset_inputs.c.run,
        dataset_inputs.c.role,
        datasets.c.workspace,
        datasets.c.dataset,
        datasets.c.version,
        datasets.c.digest,
    )
    .join(datasets, datasets.c.id == dataset_inputs.c.dataset)
    .order_by(dataset_inputs.c.role, datasets.c.dataset, datasets.c.version),
    dataset_inputs,
)
_HEARD = HeldRows(
    sa.select(
        metric_writers.c.run, sa.func.max(metric_writers.c.heard_time).label("heard")
    ).group_by(metric_writers.c.run),
    metric_writers,
)
_ADD_PARAMS, _ADD_TAGS, _ADD_DATASET_INPUTS = (
    table.insert() for table in (params, tags, dataset_inputs)
)
_REMOVE_TAGS = tags.delete().where(tags.c.run == sa.bindparam("run_key"))
_MORE_PARAM_BYTES = (
    runs.update()
    .where(runs.c.id == sa.bindparam("run_key"))
    .values(param_bytes=runs.c.param_bytes + sa.bindparam("more"))
)


def param_row(param: Param) -> dict[str, Any]:
    """A parameter as a row of `params`, without run and experiment."""
    value = param.value
    row: dict[str, Any] = {
        "key": param.key,
        "text_value": param.text,
        "int_value": None,
        "number_value": None,
    }
    # bool before int, of which it is a subclass.
    if isinstance(value, bool):
        return row | {"kind": _TRUTH, "int_value": int(value)}
    if isinstance(value, int):
        return row | {"kind": _WHOLE, "int_value": value, "number_value": float(value)}
    if isinstance(value, float):
        return row | {"kind": _DOUBLE, "number_value": None if math.isnan(value) else value}
    return row | {"kind": _TEXT}


def _param_value(kind: int, text: str, whole: int | None, number: float | None) -> ParamScalar:
    if kind == _TEXT:
        return text
    if kind == _DOUBLE:
        return math.nan if number is None else number
    if whole is None:
        message = f"a parameter of kind {kind} has no whole number"
        raise ValueError(message)
    return whole if kind == _WHOLE else bool(whole)
