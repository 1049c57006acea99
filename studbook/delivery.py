"""Telling the server what a record says. Every call here may be repeated without harm."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from studbook import artifact_transfer, model_registry
from studbook.artifact_transfer import OutgoingFile
from studbook.dataset_messages import dataset_message
from studbook.exceptions import AlreadyExists, NotFound, StudbookError
from studbook.file_digests import FileState, HashedFile, state_of
from studbook.run_records import (
    Artifacts,
    Code,
    DatasetUse,
    Environment,
    LoggedFile,
    Params,
    RunEnd,
    RunRecord,
    RunStart,
    Tags,
    VersionWanted,
)
from studbook.second_attempts import is_worth_dividing
from studbook.tracking.v1 import (
    dataset_service_pb2,
    experiment_service_pb2,
    metric_service_pb2,
    run_pb2,
    run_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from studbook.client import Client
    from studbook.record_folder import RunFolder
    from studbook.run_records import ParamValue

_MOST_PARAMS = 500
# What a run has only once it has ended.
_ENDING = ("state", "state_reason", "end_time", "exit_code", "signal")


class Delivery:
    """Delivers the records of one file.

    Args:
        client: Connection.
        start: First record of the file.
        folder: The run's folder, which the copies of logged files lie in.
        on_progress: Called whenever the server has taken something, or refused it for good.
    """

    def __init__(
        self,
        client: Client,
        start: RunStart,
        folder: RunFolder,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._start = start
        self._folder = folder
        self._on_progress = on_progress

    def deliver(self, record: RunRecord) -> None:
        """Deliver one record.

        Raises:
            StudbookError: When the server does not take it.
            OSError: When a file to be uploaded cannot be read.
        """
        match record:
            case RunStart():
                self._begin_run()
            case Params():
                self._log_params(record)
            case Tags():
                self._log(run_service_pb2.LogBatchRequest(tags=record.values))
            case Environment():
                self._log(run_service_pb2.LogBatchRequest(environment=_environment(record)))
            case Code():
                self._log(run_service_pb2.LogBatchRequest(code=_code(record)))
            case DatasetUse():
                self._use_dataset(record)
            case Artifacts():
                self._send_files(record)
            case VersionWanted():
                self._register(record)
            case RunEnd():
                self.set_state(record)
        self._on_progress()

    def append_metrics(self, request: bytes) -> None:
        """Deliver a batch of metrics: the bytes of an `AppendMetricsRequest`."""
        self._client.metrics.AppendMetrics(
            metric_service_pb2.AppendMetricsRequest.FromString(request)
        )
        self._on_progress()

    def progressed(self) -> None:
        """Tell that the server has answered, were it only to refuse."""
        self._on_progress()

    def heartbeat(self) -> None:
        """Say that the program is alive."""
        self._client.runs.SendHeartbeat(run_service_pb2.SendHeartbeatRequest(run=self._start.run))

    def set_state(self, end: RunEnd) -> None:
        """Say how the run ended."""
        run = run_pb2.Run(
            name=self._start.run,
            state=run_pb2.RunState.Value(f"RUN_STATE_{end.state}"),
            state_reason=end.reason,
            end_time=timestamp(end.end_time_us),
            exit_code=end.exit_code,
            signal=end.signal,
        )
        self._update(run, *_ENDING)

    def _begin_run(self) -> None:
        start = self._start
        request = run_service_pb2.CreateRunRequest(
            parent=start.experiment_name,
            run_id=start.run_id,
            run=run_pb2.Run(
                display_name=start.display_name,
                description=start.description,
                tags=start.tags,
                start_time=timestamp(start.start_time_us),
            ),
            request_id=start.request_id,
        )
        try:
            self._create(request)
        except AlreadyExists:
            if start.resumes and not start.attached:
                self._resume()

    def _resume(self) -> None:
        start = self._start
        run = run_pb2.Run(
            name=start.run,
            state=run_pb2.RUN_STATE_RUNNING,
            display_name=start.display_name,
            description=start.description,
        )
        # Names that are not given again stay as they are.
        named = [field for field in ("display_name", "description") if getattr(run, field)]
        self._update(run, *_ENDING, *named)
        if start.tags:
            self._log(run_service_pb2.LogBatchRequest(tags=start.tags))

    def _create(self, request: run_service_pb2.CreateRunRequest) -> None:
        try:
            self._client.runs.CreateRun(request)
        except NotFound:
            experiment = experiment_service_pb2.CreateExperimentRequest(
                parent=self._start.workspace,
                experiment_id=self._start.experiment,
                request_id=str(uuid.uuid4()),
            )
            with suppress(AlreadyExists):  # another run may have made it in between
                self._client.experiments.CreateExperiment(experiment)
            self._client.runs.CreateRun(request)

    def _update(self, run: run_pb2.Run, *fields: str) -> None:
        request = run_service_pb2.UpdateRunRequest(
            run=run, update_mask=FieldMask(paths=fields), request_id=str(uuid.uuid4())
        )
        self._client.runs.UpdateRun(request)

    def _log(self, request: run_service_pb2.LogBatchRequest) -> None:
        request.run = self._start.run
        self._client.runs.LogBatch(request)

    def _log_params(self, record: Params) -> None:
        params = [
            run_pb2.Param(key=key, value=param_value(value)) for key, value in record.values.items()
        ]
        refused: list[StudbookError] = []
        for first in range(0, len(params), _MOST_PARAMS):
            self._log_good_params(params[first : first + _MOST_PARAMS], refused)
        if refused:
            raise refused[0]

    def _log_good_params(
        self, params: Sequence[run_pb2.Param], refused: list[StudbookError]
    ) -> None:
        """Log those that the server takes; of a resumed run, one may have another value."""
        try:
            self._log(run_service_pb2.LogBatchRequest(params=params))
        except StudbookError as error:
            if not is_worth_dividing(error):
                raise
            half = len(params) // 2
            if not half:
                refused.append(error)
                return
            self._log_good_params(params[:half], refused)
            self._log_good_params(params[half:], refused)

    def _use_dataset(self, record: DatasetUse) -> None:
        request = dataset_service_pb2.RegisterDatasetRequest(
            parent=f"{self._start.workspace}/datasets/{record.name}",
            version_id=record.version,
            dataset=dataset_message(record),
        )
        dataset = self._client.datasets.RegisterDataset(request).dataset
        used = run_pb2.DatasetInput(dataset=dataset.name, role=record.role)
        self._log(run_service_pb2.LogBatchRequest(dataset_inputs=[used]))

    def _send_files(self, record: Artifacts) -> None:
        artifact_transfer.send(
            self._client,
            self._start.run,
            [OutgoingFile(f.path, self._as_logged(f), f.media_type) for f in record.files],
            # A file that a program logs again under the same path is a newer state of it.
            overwrite=True,
            progress=lambda _done_bytes, _total_bytes: self._on_progress(),
        )

    def _as_logged(self, file: LoggedFile) -> HashedFile:
        state = FileState(file.size, file.modified_ns, file.inode)
        if not file.staged:
            return HashedFile(Path(file.local_path), file.digest, state)
        path = self._folder.staged(file.digest)
        # A copy is Studbook's own. When the folder was moved its times say nothing, and should
        # its bytes have changed, then the server sees that they do not have the digest.
        with suppress(FileNotFoundError), path.open("rb") as copy:
            state = state_of(copy.fileno())
        return HashedFile(path, file.digest, state)

    def _register(self, record: VersionWanted) -> None:
        model_registry.register(
            self._start.run,
            record.model,
            record.version,
            record.paths,
            description=record.description,
            tags=record.tags,
            parents=record.parents,
            request_id=record.request_id,
            client=self._client,
        )


def timestamp(time_us: int) -> Timestamp:
    """A moment in microseconds since 1970 as the contract has it."""
    moment = Timestamp()
    moment.FromMicroseconds(time_us)
    return moment


def param_value(value: ParamValue) -> run_pb2.ParamValue:
    """A parameter's value in its own type."""
    match value:
        case bool():
            return run_pb2.ParamValue(bool_value=value)
        case int():
            return run_pb2.ParamValue(int_value=value)
        case float():
            return run_pb2.ParamValue(double_value=value)
        case _:
            return run_pb2.ParamValue(string_value=value)


def _environment(seen: Environment) -> run_pb2.Environment:
    return run_pb2.Environment(
        python_version=seen.python_version,
        python_implementation=seen.python_implementation,
        platform=seen.platform,
        machine=seen.machine,
        cpu_count=seen.cpu_count,
        memory_bytes=seen.memory_bytes,
        packages=seen.packages,
        hostname=seen.hostname,
        command_line=seen.command_line,
        accelerators=seen.accelerators,
        container_image_digest=seen.container_image_digest,
        conda=None if seen.conda is None else run_pb2.CondaEnvironment(**vars(seen.conda)),
        cpu_model=seen.cpu_model,
    )


def _code(seen: Code) -> run_pb2.Code:
    return run_pb2.Code(
        repository=seen.repository,
        commit=seen.commit,
        branch=seen.branch,
        dirty=seen.dirty,
        diff_digest=seen.diff_digest,
        entry_point=seen.entry_point,
        untracked_files=seen.untracked_files,
        untracked_count=seen.untracked_count,
        diff_artifact=seen.diff_artifact,
    )
