"""From what the tracking service says of a run to what the registry keeps of it."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from registry_service.ledger import ERASED
from registry_service.records import DatasetUse, File, Snapshot
from service_chassis.validation import check_digest
from studbook.registry.v1 import lineage_pb2
from studbook.tracking.v1 import run_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry_service.records import Parent
    from studbook.tracking.v1 import artifact_pb2, dataset_pb2, metric_pb2, run_service_pb2

_STATE_PREFIX = "RUN_STATE_"
_SALT_BYTES = 16


def take_snapshot(
    held: run_service_pb2.HoldRunResponse, parents: tuple[Parent, ...] = ()
) -> Snapshot:
    """Write down a run, its datasets, code, environment and parents, and name its files."""
    lineage = lineage_pb2.Lineage(
        snapshot_time=held.snapshot_time,
        run=_run(held.run),
        datasets=_datasets(held.run.dataset_inputs, held.datasets),
        parents=map(_parent, parents),
        # Whoever knows all of a lineage but its author cannot tell by the digest who that was.
        salt=secrets.token_bytes(_SALT_BYTES),
    )
    if held.run.HasField("code"):
        lineage.code.CopyFrom(_code(held.run.code))
    if held.run.HasField("environment"):
        lineage.environment.CopyFrom(_environment(held.run.environment))
    # Kept as bytes, so that the digest in the ledger holds for ever, also when a later release
    # of protobuf writes the same message differently.
    content = lineage.SerializeToString(deterministic=True)
    return Snapshot(
        lineage=content,
        lineage_digest=hashlib.sha256(content).hexdigest(),
        files=tuple(map(_file, held.artifacts)),
        datasets=tuple(map(_use, lineage.datasets)),
        parents=parents,
    )


def without_author(lineage: bytes, author: str) -> bytes:
    """A lineage that tells no longer that this was its author; others stay as they are."""
    erased = lineage_pb2.Lineage.FromString(lineage)
    if erased.run.creator.id != author:
        return lineage
    erased.run.ClearField("creator")
    erased.run.creator.id = ERASED.id
    erased.ClearField("salt")
    return erased.SerializeToString(deterministic=True)


def datasets_in(lineage: bytes) -> list[dict[str, object]]:
    """The datasets in a lineage as rows of `version_datasets`, without the version.

    Raises:
        DecodeError: It is no lineage.
    """
    used = map(_use, lineage_pb2.Lineage.FromString(lineage).datasets)
    return [
        {"place": place, "dataset": one.dataset, "role": one.role, "digest": one.digest}
        for place, one in enumerate(used)
    ]


def _parent(parent: Parent) -> lineage_pb2.LineageParent:
    return lineage_pb2.LineageParent(
        version=parent.version, uri=parent.uri, digest=f"sha256:{parent.digest}"
    )


def _use(dataset: lineage_pb2.LineageDataset) -> DatasetUse:
    return DatasetUse(dataset.name, dataset.role, dataset.digest.removeprefix("sha256:"))


def _file(artifact: artifact_pb2.Artifact) -> File:
    return File(
        path=artifact.path,
        digest=check_digest(artifact.digest, "digest"),
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
    )


def _run(run: run_pb2.Run) -> lineage_pb2.LineageRun:
    lineage = lineage_pb2.LineageRun(
        name=run.name,
        uid=run.uid,
        display_name=run.display_name,
        state=_state(run.state),
        creator=run.creator,
        params=map(_param, sorted(run.params, key=lambda param: param.key)),
        metrics=map(_metric, sorted(run.metrics, key=lambda metric: metric.key)),
        tags=run.tags,
    )
    if run.HasField("start_time"):
        lineage.start_time.CopyFrom(run.start_time)
    if run.HasField("end_time"):
        lineage.end_time.CopyFrom(run.end_time)
    return lineage


def _state(state: run_pb2.RunState.ValueType) -> str:
    try:
        return run_pb2.RunState.Name(state).removeprefix(_STATE_PREFIX)
    except ValueError:
        # The enum is open: a newer tracking service may know more states.
        return str(state)


def _param(param: run_pb2.Param) -> lineage_pb2.LineageParam:
    lineage = lineage_pb2.LineageParam(key=param.key)
    kind = param.value.WhichOneof("kind")
    if kind is not None:
        setattr(lineage, kind, getattr(param.value, kind))
    return lineage


def _metric(metric: metric_pb2.MetricSummary) -> lineage_pb2.LineageMetric:
    return lineage_pb2.LineageMetric(
        key=metric.key,
        last=metric.last,
        min=metric.min,
        max=metric.max,
        mean=metric.mean,
        count=metric.count,
        last_step=metric.last_step,
    )


def _datasets(
    inputs: Iterable[run_pb2.DatasetInput], datasets: Iterable[dataset_pb2.Dataset]
) -> Iterator[lineage_pb2.LineageDataset]:
    known = {dataset.name: dataset for dataset in datasets}
    for used in sorted(inputs, key=lambda used: (used.role, used.dataset)):
        lineage = lineage_pb2.LineageDataset(name=used.dataset, role=used.role, digest=used.digest)
        dataset = known.get(used.dataset)
        if dataset is not None:
            _describe(lineage, dataset)
        yield lineage


def _describe(lineage: lineage_pb2.LineageDataset, dataset: dataset_pb2.Dataset) -> None:
    lineage.digest = dataset.digest
    lineage.format = dataset.format
    lineage.source = dataset.source
    lineage.row_count = dataset.row_count
    lineage.size_bytes = dataset.size_bytes
    lineage.columns.extend(
        lineage_pb2.LineageColumn(name=column.name, type=column.type, null_count=column.null_count)
        for column in dataset.columns
    )


def _code(code: run_pb2.Code) -> lineage_pb2.LineageCode:
    return lineage_pb2.LineageCode(
        repository=code.repository,
        commit=code.commit,
        branch=code.branch,
        dirty=code.dirty,
        diff_digest=code.diff_digest,
        entry_point=code.entry_point,
    )


def _environment(environment: run_pb2.Environment) -> lineage_pb2.LineageEnvironment:
    return lineage_pb2.LineageEnvironment(
        python_version=environment.python_version,
        platform=environment.platform,
        machine=environment.machine,
        packages=environment.packages,
        accelerators=environment.accelerators,
        container_image_digest=environment.container_image_digest,
    )
