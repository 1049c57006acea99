"""What the lists of the tracking service can be filtered and sorted by."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from service_chassis.field_table import Field, FieldTable, Kind, Lookup
from tracking_service.records import RunState
from tracking_service.tables import (
    artifacts,
    dataset_inputs,
    datasets,
    experiment_tags,
    experiments,
    metric_series,
    params,
    runs,
    tags,
)

_SUMMARY_COLUMNS = {
    "first": (metric_series.c.first, Kind.NUMBER),
    "last": (metric_series.c.last, Kind.NUMBER),
    "min": (metric_series.c.min, Kind.NUMBER),
    "max": (metric_series.c.max, Kind.NUMBER),
    "mean": (metric_series.c.mean, Kind.NUMBER),
    "count": (metric_series.c.points, Kind.INTEGER),
}


def _text(*parts: str | sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """The parts, one after another."""
    joined: sa.ColumnElement[str] = sa.literal("", sa.Text())
    for part in parts:
        joined = joined + (sa.literal(part, sa.Text()) if isinstance(part, str) else part)
    return joined


def _experiment_tag(path: tuple[str, ...]) -> Field | None:
    if len(path) < 2 or path[0] != "tags":
        return None
    key = ".".join(path[1:])
    value = (
        sa.select(experiment_tags.c.value)
        .where(experiment_tags.c.experiment == experiments.c.id, experiment_tags.c.key == key)
        .correlate(experiments)
        .scalar_subquery()
    )
    return Field(value, Kind.TEXT)


EXPERIMENT_FIELDS = FieldTable(
    {
        "name": Field(
            _text(
                "workspaces/",
                experiments.c.workspace,
                "/experiments/",
                experiments.c.experiment,
            ),
            Kind.TEXT,
        ),
        "description": Field(experiments.c.description, Kind.TEXT),
        "create_time": Field(experiments.c.create_time, Kind.TIMESTAMP),
        "update_time": Field(experiments.c.update_time, Kind.TIMESTAMP),
    },
    _experiment_tag,
    forms=("tags.{key}",),
    sortable=frozenset({"name", "create_time", "update_time"}),
)

DATASET_FIELDS = FieldTable(
    {
        "name": Field(
            _text(
                "workspaces/",
                datasets.c.workspace,
                "/datasets/",
                datasets.c.dataset,
                "/versions/",
                datasets.c.version,
            ),
            Kind.TEXT,
        ),
        "digest": Field(_text("sha256:", datasets.c.digest), Kind.TEXT),
        "format": Field(datasets.c.format, Kind.TEXT),
        "source": Field(datasets.c.source, Kind.TEXT),
        "row_count": Field(datasets.c.row_count, Kind.INTEGER),
        "size_bytes": Field(datasets.c.size_bytes, Kind.INTEGER),
        "create_time": Field(datasets.c.create_time, Kind.TIMESTAMP),
    }
)

DATASET_USE_FIELDS = FieldTable(
    {
        "create_time": Field(runs.c.create_time, Kind.TIMESTAMP),
        "role": Field(dataset_inputs.c.role, Kind.TEXT),
    }
)

ARTIFACT_FIELDS = FieldTable(
    {
        "path": Field(artifacts.c.path, Kind.TEXT),
        "digest": Field(_text("sha256:", artifacts.c.digest), Kind.TEXT),
        "size_bytes": Field(artifacts.c.size_bytes, Kind.INTEGER),
        "media_type": Field(artifacts.c.media_type, Kind.TEXT),
        "create_time": Field(artifacts.c.create_time, Kind.TIMESTAMP),
    }
)

_RUN_FIELDS = {
    "name": Field(
        _text(
            "workspaces/",
            runs.c.workspace,
            "/experiments/",
            experiments.c.experiment,
            "/runs/",
            runs.c.run,
        ),
        Kind.TEXT,
    ),
    "display_name": Field(runs.c.display_name, Kind.TEXT),
    "state": Field(
        runs.c.state,
        Kind.ENUM,
        values={
            "RUN_STATE_UNSPECIFIED": 0,
            **{f"RUN_STATE_{state.name}": int(state) for state in RunState},
        },
    ),
    "creator": Field(runs.c.creator_id, Kind.TEXT),
    "start_time": Field(runs.c.start_time, Kind.TIMESTAMP),
    "end_time": Field(runs.c.end_time, Kind.TIMESTAMP),
    "create_time": Field(runs.c.create_time, Kind.TIMESTAMP),
    "update_time": Field(runs.c.update_time, Kind.TIMESTAMP),
    "code.commit": Field(runs.c.code_commit, Kind.TEXT),
}


def run_fields(experiment: int | None) -> FieldTable:
    """The fields of runs, of one experiment or of all."""

    def dynamic(path: tuple[str, ...]) -> Field | None:
        if len(path) < 2:
            return None
        if path[0] == "params":
            return _by_key(
                experiment,
                ".".join(path[1:]),
                Kind.VALUE,
                params.c.text_value,
                params.c.number_value,
            )
        if path[0] == "tags":
            return _by_key(experiment, ".".join(path[1:]), Kind.TEXT, tags.c.value)
        if path[0] == "metrics":
            return _metric(experiment, path[1:])
        return None

    return FieldTable(
        _RUN_FIELDS,
        dynamic,
        forms=("params.{key}", "tags.{key}", "metrics.{key}.{first|last|min|max|mean|count}"),
    )


def _metric(experiment: int | None, path: tuple[str, ...]) -> Field:
    # A key may hold dots, also one that is called like a figure: metrics.min is the last value of
    # the metric "min", and metrics."a.min" that of "a.min".
    if len(path) > 1 and path[-1] in _SUMMARY_COLUMNS:
        column, kind = _SUMMARY_COLUMNS[path[-1]]
        return _by_key(experiment, ".".join(path[:-1]), kind, column)
    return _by_key(experiment, ".".join(path), Kind.NUMBER, metric_series.c.last)


def _by_key(
    experiment: int | None,
    key: str,
    kind: Kind,
    column: sa.Column[Any],
    number: sa.Column[Any] | None = None,
) -> Field:
    """A field whose values are rows of a table of their own, one for each run and key."""
    table = column.table

    def sorted_by(value: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return (
            sa.select(value)
            .where(table.c.run == runs.c.id, table.c.key == key)
            .correlate(runs)
            .scalar_subquery()
        )

    def exists(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        matching = sa.select(table.c.run).where(table.c.key == key, condition)
        if experiment is not None:
            # Lets one index answer: (experiment, key, value, run).
            matching = matching.where(table.c.experiment == experiment)
        return runs.c.id.in_(matching)

    return Field(
        sorted_by(column),
        kind,
        number=None if number is None else sorted_by(number),
        lookup=Lookup(column, exists, number),
    )
