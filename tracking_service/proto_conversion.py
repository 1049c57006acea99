"""Records as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.principal_message import principal_message
from service_chassis.timestamps import set_timestamp, to_timestamp
from studbook.tracking.v1 import (
    artifact_pb2,
    dataset_pb2,
    experiment_pb2,
    metric_pb2,
    run_pb2,
    run_service_pb2,
)
from tracking_service.run_comparison import without_rows

if TYPE_CHECKING:
    from collections.abc import Collection

    from tracking_service.dataset_records import Dataset, DatasetReference
    from tracking_service.records import (
        Artifact,
        Code,
        CondaEnvironment,
        Environment,
        Experiment,
        MetricSummary,
        ParamScalar,
        Run,
    )
    from tracking_service.run_comparison import ComparedDataset, ComparedMetric, Comparison
    from tracking_service.run_holds import HeldRun


def digest_text(digest: str) -> str:
    """A stored digest as it is written on the wire."""
    return f"sha256:{digest}"


def experiment_message(experiment: Experiment) -> experiment_pb2.Experiment:
    """An experiment as a message."""
    return experiment_pb2.Experiment(
        name=experiment.name,
        uid=experiment.uid,
        description=experiment.description,
        tags=experiment.tags,
        create_time=to_timestamp(experiment.create_us),
        update_time=to_timestamp(experiment.update_us),
        etag=experiment.etag,
    )


def run_message(run: Run, unwanted: Collection[str] = ()) -> run_pb2.Run:
    """A run as a message; `unwanted` as for `write_run`."""
    message = run_pb2.Run()
    write_run(run, message, unwanted)
    return message


def write_run(run: Run, message: run_pb2.Run, unwanted: Collection[str] = ()) -> None:
    """Fill an empty message where it stands: copying a page of runs takes as long as making it.

    Args:
        run: The run.
        message: The message.
        unwanted: Fields that are to stay empty.
    """
    message.name = run.name
    message.uid = run.uid
    message.display_name = run.display_name
    message.description = run.description
    message.state = run_pb2.RunState.ValueType(int(run.state))
    message.state_reason = run.state_reason
    message.etag = run.etag
    message.signal = run.signal
    if run.exit_code is not None:
        message.exit_code = run.exit_code
    for field in unwanted:
        message.ClearField(field)  # type: ignore[arg-type] # the stubs want literals
    # What costs more to write than to take away again.
    if "creator" not in unwanted:
        message.creator.CopyFrom(principal_message(run.creator))
    for field, us in _times(run):
        if us is not None and field not in unwanted:
            set_timestamp(getattr(message, field), us)
    _write_contents(run, message)


def _times(run: Run) -> tuple[tuple[str, int | None], ...]:
    return (
        ("create_time", run.create_us),
        ("update_time", run.update_us),
        ("heartbeat_time", run.heartbeat_us),
        ("start_time", run.start_us),
        ("end_time", run.end_us),
        ("delete_time", run.delete_us),
    )


def _write_contents(run: Run, message: run_pb2.Run) -> None:
    """What was logged; of what is not wanted nothing was read."""
    if run.tags:
        message.tags.update(run.tags)
    if run.environment is not None:
        message.environment.CopyFrom(_environment(run.environment))
    if run.code is not None:
        message.code.CopyFrom(_code(run.code))
    for key, value in run.params:
        entry = message.params.add()
        entry.key = key
        _write_value(value, entry.value)
    for summary in run.metrics:
        _write_summary(summary, message.metrics.add())
    for used in run.dataset_inputs:
        message.dataset_inputs.add(
            dataset=used.dataset, role=used.role, digest=digest_text(used.digest)
        )


def param_value(value: ParamScalar | None) -> run_pb2.ParamValue:
    """A parameter's value as a message; None gives one that is not set."""
    message = run_pb2.ParamValue()
    if value is not None:
        _write_value(value, message)
    return message


def _write_value(value: ParamScalar, message: run_pb2.ParamValue) -> None:
    # bool before int, of which it is a subclass.
    if isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int):
        message.int_value = value
    elif isinstance(value, float):
        message.double_value = value
    else:
        message.string_value = value


def summary_message(summary: MetricSummary) -> metric_pb2.MetricSummary:
    """The summary of a metric as a message."""
    message = metric_pb2.MetricSummary()
    _write_summary(summary, message)
    return message


def _write_summary(summary: MetricSummary, message: metric_pb2.MetricSummary) -> None:
    message.key = summary.key
    message.first = summary.first
    message.last = summary.last
    message.min = summary.min
    message.max = summary.max
    message.mean = summary.mean
    message.count = summary.count
    message.last_step = summary.last_step
    message.min_step = summary.min_step
    message.max_step = summary.max_step
    set_timestamp(message.last_time, summary.last_time_us)


def dataset_message(dataset: Dataset) -> dataset_pb2.Dataset:
    """A dataset version as a message."""
    content = dataset.content
    reference = content.reference
    return dataset_pb2.Dataset(
        name=dataset.name,
        uid=dataset.uid,
        digest=digest_text(content.digest),
        format=content.format,
        source=content.source,
        columns=[
            dataset_pb2.Column(
                name=column.name,
                type=column.type,
                null_count=column.null_count,
                profile=_profile(content.profiles.get(position)),
            )
            for position, column in enumerate(content.columns)
        ],
        row_count=content.row_count,
        size_bytes=content.size_bytes,
        create_time=to_timestamp(dataset.create_us),
        creator=principal_message(dataset.creator),
        reference=None if reference is None else _reference(reference),
    )


def _profile(data: bytes | None) -> dataset_pb2.ColumnProfile | None:
    return None if data is None else dataset_pb2.ColumnProfile.FromString(data)


def _reference(reference: DatasetReference) -> dataset_pb2.DatasetReference:
    return dataset_pb2.DatasetReference(
        system=reference.system, uri=reference.uri, version=reference.version
    )


def artifact_message(artifact: Artifact) -> artifact_pb2.Artifact:
    """A file of a run as a message."""
    return artifact_pb2.Artifact(
        run=artifact.run,
        path=artifact.path,
        digest=digest_text(artifact.digest),
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        create_time=to_timestamp(artifact.create_us),
    )


def comparison_message(
    comparison: Comparison, unwanted: Collection[str]
) -> run_service_pb2.CompareRunsResponse:
    """Compared runs as a message; `unwanted` as for `write_run`."""
    return run_service_pb2.CompareRunsResponse(
        runs=[run_message(without_rows(run), unwanted) for run in comparison.runs],
        baseline_index=comparison.baseline,
        params=[
            run_service_pb2.ComparedParam(
                key=row.key,
                values=[param_value(value) for value in row.values],
                differs=row.differs,
            )
            for row in comparison.params
        ],
        metrics=[_compared_metric(row) for row in comparison.metrics],
        packages=[
            run_service_pb2.ComparedPackage(package=row.package, versions=row.versions)
            for row in comparison.packages
        ],
        datasets=[_compared_dataset(row) for row in comparison.datasets],
        facts=[
            run_service_pb2.ComparedFact(field=row.field, values=row.values, differs=row.differs)
            for row in comparison.facts
        ],
        code_differences=[
            run_service_pb2.CodeDifference(
                same=difference.same,
                commit_range=difference.commit_range,
                compare_url=difference.compare_url,
                diff_artifact=difference.diff_artifact,
            )
            for difference in comparison.code
        ],
    )


def _compared_metric(row: ComparedMetric) -> run_service_pb2.ComparedMetric:
    absent = metric_pb2.MetricSummary(key=row.key)
    return run_service_pb2.ComparedMetric(
        key=row.key,
        summaries=[
            absent if summary is None else summary_message(summary) for summary in row.summaries
        ],
        deltas=row.deltas,
        differs=row.differs,
    )


def _compared_dataset(row: ComparedDataset) -> run_service_pb2.ComparedDataset:
    return run_service_pb2.ComparedDataset(
        role=row.role,
        dataset=row.dataset,
        versions=[", ".join(versions) for versions in row.versions],
        digests=[", ".join(map(digest_text, digests)) for digests in row.digests],
        differs=row.differs,
    )


def held_run_message(held: HeldRun) -> run_service_pb2.HoldRunResponse:
    """A held run with its lineage as a message."""
    return run_service_pb2.HoldRunResponse(
        run=run_message(held.run),
        artifacts=[artifact_message(artifact) for artifact in held.artifacts],
        datasets=[dataset_message(dataset) for dataset in held.datasets],
        snapshot_time=to_timestamp(held.snapshot_us),
    )


def _environment(environment: Environment) -> run_pb2.Environment:
    return run_pb2.Environment(
        python_version=environment.python_version,
        python_implementation=environment.python_implementation,
        platform=environment.platform,
        machine=environment.machine,
        cpu_count=environment.cpu_count,
        memory_bytes=environment.memory_bytes,
        packages=environment.packages,
        hostname=environment.hostname,
        command_line=environment.command_line,
        accelerators=environment.accelerators,
        container_image_digest=environment.container_image_digest,
        conda=None if environment.conda is None else _conda(environment.conda),
        cpu_model=environment.cpu_model,
    )


def _conda(conda: CondaEnvironment) -> run_pb2.CondaEnvironment:
    return run_pb2.CondaEnvironment(
        name=conda.name, packages=conda.packages, channels=conda.channels
    )


def _code(code: Code) -> run_pb2.Code:
    return run_pb2.Code(
        repository=code.repository,
        commit=code.commit,
        branch=code.branch,
        dirty=code.dirty,
        diff_digest=code.diff_digest,
        entry_point=code.entry_point,
        untracked_files=code.untracked_files,
        untracked_count=code.untracked_count,
        diff_artifact=code.diff_artifact,
    )
