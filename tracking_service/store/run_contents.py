"""Queries on what was logged into runs: parameters, tags, datasets, summaries of metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.resource_names import DATASET_VERSION
from tracking_service.records import DatasetInput, Param
from tracking_service.store.metrics import summary_record
from tracking_service.tables import (
    dataset_inputs,
    datasets,
    metric_series,
    metric_writers,
    params,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tracking_service.records import MetricSummary, ParamScalar, Run


class _ParamKind(IntEnum):
    TEXT = 1
    WHOLE = 2
    DOUBLE = 3
    TRUTH = 4


class RunContents:
    """What runs hold, within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def fill(self, runs: Sequence[Run]) -> list[Run]:
        """The runs with parameters, tags, metrics, datasets and heartbeats, in five queries."""
        keys = [run.key for run in runs]
        if not keys:
            return []
        found_params = self._params(keys)
        found_tags = self._tags(keys)
        found_metrics = self._metrics(keys)
        found_inputs = self._dataset_inputs(keys)
        heard = self._heard(keys)
        return [
            replace(
                run,
                params=tuple(found_params[run.key]),
                tags=found_tags[run.key],
                metrics=tuple(found_metrics[run.key]),
                dataset_inputs=tuple(found_inputs[run.key]),
                heartbeat_us=max(run.heartbeat_us, heard.get(run.key, 0)),
            )
            for run in runs
        ]

    def add_params(self, run: Run, new: Collection[Param]) -> None:
        """Store parameters that the run does not have yet; the run is locked."""
        if new:
            rows = [
                {"run": run.key, "experiment": run.experiment_key, **_param_row(param)}
                for param in new
            ]
            self._connection.execute(params.insert(), rows)

    def set_tags(self, run: Run, new: Mapping[str, str]) -> None:
        """Make these the run's tags, in place of all it had; the run is locked."""
        self._connection.execute(tags.delete().where(tags.c.run == run.key))
        if new:
            rows = [
                {"run": run.key, "experiment": run.experiment_key, "key": key, "value": value}
                for key, value in new.items()
            ]
            self._connection.execute(tags.insert(), rows)

    def add_dataset_inputs(self, run: Run, inputs: Iterable[tuple[int, str]]) -> None:
        """Store uses of datasets, each a dataset's key and a role, that the run does not have."""
        rows = [{"run": run.key, "dataset": dataset, "role": role} for dataset, role in inputs]
        if rows:
            self._connection.execute(dataset_inputs.insert(), rows)

    def _params(self, keys: Collection[int]) -> Mapping[int, list[Param]]:
        statement = sa.select(params).where(params.c.run.in_(keys)).order_by(params.c.key)
        found = defaultdict(list)
        for row in self._connection.execute(statement):
            found[row.run].append(Param(key=row.key, value=_param_value(row)))
        return found

    def _tags(self, keys: Collection[int]) -> Mapping[int, dict[str, str]]:
        statement = sa.select(tags).where(tags.c.run.in_(keys)).order_by(tags.c.key)
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for row in self._connection.execute(statement):
            found[row.run][row.key] = row.value
        return found

    def _metrics(self, keys: Collection[int]) -> Mapping[int, list[MetricSummary]]:
        statement = (
            sa.select(metric_series)
            .where(metric_series.c.run.in_(keys))
            .order_by(metric_series.c.key)
        )
        found = defaultdict(list)
        for row in self._connection.execute(statement):
            found[row.run].append(summary_record(row))
        return found

    def _dataset_inputs(self, keys: Collection[int]) -> Mapping[int, list[DatasetInput]]:
        statement = (
            sa.select(dataset_inputs.c.run, dataset_inputs.c.role, datasets)
            .join(datasets, datasets.c.id == dataset_inputs.c.dataset)
            .where(dataset_inputs.c.run.in_(keys))
            .order_by(dataset_inputs.c.role, datasets.c.dataset, datasets.c.version)
        )
        found = defaultdict(list)
        for row in self._connection.execute(statement):
            name = DATASET_VERSION.format(
                workspace=row.workspace, dataset=row.dataset, version=row.version
            )
            found[row.run].append(DatasetInput(dataset=name, role=row.role, digest=row.digest))
        return found

    def _heard(self, keys: Collection[int]) -> Mapping[int, int]:
        statement = (
            sa.select(metric_writers.c.run, sa.func.max(metric_writers.c.heard_time).label("heard"))
            .where(metric_writers.c.run.in_(keys))
            .group_by(metric_writers.c.run)
        )
        return {row.run: row.heard for row in self._connection.execute(statement)}


def _param_row(param: Param) -> dict[str, Any]:
    value = param.value
    row: dict[str, Any] = {"key": param.key, "int_value": None, "number_value": None}
    # bool before int, of which it is a subclass.
    if isinstance(value, bool):
        text = "true" if value else "false"
        return row | {"kind": _ParamKind.TRUTH, "text_value": text, "int_value": int(value)}
    if isinstance(value, int):
        number = {"int_value": value, "number_value": float(value)}
        return row | {"kind": _ParamKind.WHOLE, "text_value": str(value)} | number
    if isinstance(value, float):
        stored = None if math.isnan(value) else value
        return row | {
            "kind": _ParamKind.DOUBLE,
            "text_value": repr(value),
            "number_value": stored,
        }
    return row | {"kind": _ParamKind.TEXT, "text_value": value}


def _param_value(row: sa.Row[Any]) -> ParamScalar:
    value: ParamScalar
    match row.kind:
        case _ParamKind.TEXT:
            value = row.text_value
        case _ParamKind.WHOLE:
            value = row.int_value
        case _ParamKind.DOUBLE:
            value = math.nan if row.number_value is None else row.number_value
        case _:
            value = bool(row.int_value)
    return value
