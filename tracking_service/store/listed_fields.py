"""What the lists of the tracking service can be filtered and sorted by."""

from __future__ import annotations

import sqlalchemy as sa

from service_chassis.field_table import Field, FieldTable, Kind
from tracking_service.tables import (
    artifacts,
    dataset_inputs,
    datasets,
    experiment_tags,
    experiments,
    runs,
)


def joined_text(*parts: str | sa.ColumnElement[str]) -> sa.ColumnElement[str]:
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
            joined_text(
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
            joined_text(
                "workspaces/",
                datasets.c.workspace,
                "/datasets/",
                datasets.c.dataset,
                "/versions/",
                datasets.c.version,
            ),
            Kind.TEXT,
        ),
        "digest": Field(joined_text("sha256:", datasets.c.digest), Kind.TEXT),
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
        "digest": Field(joined_text("sha256:", artifacts.c.digest), Kind.TEXT),
        "size_bytes": Field(artifacts.c.size_bytes, Kind.INTEGER),
        "media_type": Field(artifacts.c.media_type, Kind.TEXT),
        "create_time": Field(artifacts.c.create_time, Kind.TIMESTAMP),
    }
)
