"""Requests about experiments, metrics and files as records, their shape checked.

Each function raises INVALID_ARGUMENT naming the field, its value and the remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from service_chassis.errors import invalid_field, required_field
from service_chassis.field_masks import changed_paths
from service_chassis.resource_names import EXPERIMENT, RUN, WORKSPACE, check_id
from service_chassis.validation import (
    LONGEST_DESCRIPTION,
    check_artifact_path,
    check_count,
    check_digest,
    check_not_negative,
    check_tags,
    check_text,
)
from tracking_service.experiments import ExperimentChange
from tracking_service.records import MetricBatch, NewArtifact, Points, Window
from tracking_service.series_reading import joined
from tracking_service.times import EARLIEST_US, LATEST_US, read_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from studbook.tracking.v1 import (
        artifact_service_pb2,
        experiment_service_pb2,
        metric_pb2,
        metric_service_pb2,
    )

Number = TypeVar("Number", np.int64, np.float64)

LONGEST_KEY = 256
_LONGEST_WRITER = 64
_LONGEST_MEDIA_TYPE = 128
_FEW_POINTS = 32
_MOST_FILES = 1000
_MOST_READ_RUNS = 100
_MOST_READ_KEYS = 10_000


def new_experiment_name(request: experiment_service_pb2.CreateExperimentRequest) -> str:
    """The name that an experiment is to get."""
    workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
    experiment = check_id(request.experiment_id, "experiment_id")
    return EXPERIMENT.format(workspace=workspace, experiment=experiment)


def experiment_texts(
    request: experiment_service_pb2.CreateExperimentRequest,
) -> tuple[str, Mapping[str, str]]:
    """Description and tags that an experiment is to get."""
    experiment = request.experiment
    return (
        check_text(experiment.description, "experiment.description", LONGEST_DESCRIPTION),
        check_tags(experiment.tags, "experiment.tags"),
    )


def experiment_change(
    request: experiment_service_pb2.UpdateExperimentRequest,
) -> ExperimentChange:
    """What is to change in an experiment."""
    experiment = request.experiment
    EXPERIMENT.parse(experiment.name, "experiment.name")
    paths = changed_paths(request.update_mask, experiment, frozenset({"description", "tags"}))
    read: dict[str, Callable[[], Any]] = {
        "description": lambda: check_text(
            experiment.description, "experiment.description", LONGEST_DESCRIPTION
        ),
        "tags": lambda: check_tags(experiment.tags, "experiment.tags"),
    }
    return ExperimentChange(
        name=experiment.name,
        etag=experiment.etag,
        values={path: read[path]() for path in paths},
    )


def metric_batch(request: metric_service_pb2.AppendMetricsRequest, most_points: int) -> MetricBatch:
    """A batch of metric points."""
    RUN.parse(request.run, "run")
    check_text(request.writer, "writer", _LONGEST_WRITER, required=True)
    if request.sequence < 1:
        raise invalid_field("sequence", request.sequence, "the first batch of a writer has 1")
    if not request.series:
        raise required_field("series", "give the points of one metric at least")
    total = sum(len(series.values) for series in request.series)
    if total > most_points:
        raise invalid_field(
            "series", f"{total} points", f"give at most {most_points} points in one batch"
        )
    parts: dict[str, list[Points]] = {}
    for index, series in enumerate(request.series):
        parts.setdefault(series.key, []).append(_points(series, f"series[{index}]"))
    return MetricBatch(
        run=request.run,
        writer=request.writer,
        sequence=request.sequence,
        series={key: joined(points) for key, points in parts.items()},
    )


def _points(series: metric_pb2.MetricSeries, field: str) -> Points:
    check_text(series.key, f"{field}.key", LONGEST_KEY, required=True)
    count = len(series.values)
    if not count:
        raise required_field(f"{field}.values", "give one point at least")
    for name, column in (("steps", series.steps), ("times_us", series.times_us)):
        if len(column) != count:
            raise invalid_field(
                f"{field}.{name}",
                f"{len(column)} entries",
                f"all columns must have the same length; values has {count} entries",
            )
    times = _column(series.times_us, np.int64)
    for outside in times[(times < EARLIEST_US) | (times > LATEST_US)][:1]:
        raise invalid_field(
            f"{field}.times_us", outside, "give microseconds since 1970, in the years 1 to 9999"
        )
    return Points(
        steps=_column(series.steps, np.int64),
        times_us=times,
        values=_column(series.values, np.float64),
    )


def _column(numbers: Sequence[float], kind: type[Number]) -> NDArray[Number]:
    # Of a list, NumPy makes a short array faster and a long one much more slowly.
    return np.array(numbers[:] if len(numbers) <= _FEW_POINTS else numbers, kind)


def metric_read(request: metric_service_pb2.ReadMetricsRequest) -> Window:
    """Which points to read."""
    check_count(request.runs, "runs", _MOST_READ_RUNS, least=1)
    for index, run in enumerate(request.runs):
        RUN.parse(run, f"runs[{index}]")
    check_count(request.keys, "keys", _MOST_READ_KEYS)
    for index, key in enumerate(request.keys):
        check_text(key, f"keys[{index}]", LONGEST_KEY, required=True)
    check_not_negative(request.max_points, "max_points")
    return Window(
        min_step=request.min_step if request.HasField("min_step") else None,
        max_step=request.max_step if request.HasField("max_step") else None,
        min_time_us=_time(request, "min_time"),
        max_time_us=_time(request, "max_time"),
    )


def _time(
    request: metric_service_pb2.ReadMetricsRequest, field: Literal["min_time", "max_time"]
) -> int | None:
    return read_time(getattr(request, field), field) if request.HasField(field) else None


def digests(request: artifact_service_pb2.FindMissingRequest) -> list[str]:
    """Digests in the order of the request."""
    RUN.parse(request.run, "run")
    check_count(request.digests, "digests", _MOST_FILES, least=1)
    return [
        check_digest(digest, f"digests[{index}]") for index, digest in enumerate(request.digests)
    ]


def new_artifacts(request: artifact_service_pb2.CreateArtifactsRequest) -> list[NewArtifact]:
    """Files that are to be recorded."""
    RUN.parse(request.run, "run")
    check_count(request.artifacts, "artifacts", _MOST_FILES, least=1)
    files: dict[str, NewArtifact] = {}
    for index, artifact in enumerate(request.artifacts):
        field = f"artifacts[{index}]"
        file = NewArtifact(
            path=check_artifact_path(artifact.path, f"{field}.path"),
            digest=check_digest(artifact.digest, f"{field}.digest"),
            media_type=check_text(artifact.media_type, f"{field}.media_type", _LONGEST_MEDIA_TYPE),
        )
        if file.path in files:
            raise invalid_field(f"{field}.path", file.path, "name each path once")
        files[file.path] = file
    return list(files.values())
