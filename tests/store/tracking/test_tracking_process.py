"""The tracking service as a process: start, identity, sudden death, drain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from joserfc.jwk import OKPKey

from service_chassis.assertion import METADATA_KEY, AssertionSigner
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    experiment_service_pb2,
    experiment_service_pb2_grpc,
    metric_service_pb2,
    metric_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
)
from tests.store.tracking.at_work import ADA, WINE, WORKSPACE, batch, sha256, upload_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_S = 60


class Process:
    """A tracking service on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        key = OKPKey.generate_key("Ed25519")
        (folder / "gateway.pub").write_bytes(key.as_pem(private=False))
        self.signer = AssertionSigner("gateway", key.as_pem(private=True))
        self.environment = {
            **os.environ,
            "STUDBOOK_TRACKING_LISTEN": "127.0.0.1:0",
            "STUDBOOK_TRACKING_DATABASE_URL": f"sqlite:///{folder}/tracking.db",
            "STUDBOOK_TRACKING_ARTIFACT_STORE": str(folder / "artifacts"),
            "STUDBOOK_TRACKING_ASSERTION_TRUSTED_KEYS": json.dumps(
                {"gateway": str(folder / "gateway.pub")}
            ),
        }
        self._log = folder / "log"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tracking_service"],
                stderr=subprocess.PIPE,
                stdout=log,
                env=self.environment,
            )
        address = self._address()
        self.channel = grpc.insecure_channel(address)

    def _address(self) -> str:
        assert self.popen.stderr is not None
        timer = threading.Timer(START_S, self.popen.kill)
        timer.start()
        for line in self.popen.stderr:
            entry = json.loads(line)
            if entry["event"] == "serving":
                timer.cancel()
                # The pipe must not fill up.
                self._reader = threading.Thread(target=self._read_log, daemon=True)
                self._reader.start()
                return str(entry["address"])
        message = "the service did not start"
        raise AssertionError(message)

    def _read_log(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as log:
            log.read()

    def stop(self, number: int) -> int:
        self.channel.close()
        self.popen.send_signal(number)
        code = self.popen.wait(START_S)
        self._reader.join(START_S)
        return code

    def call(self, rpc: str, request: Any, *, sign: bool = True) -> Any:
        service, stub = _STUBS[rpc]
        path = f"/studbook.tracking.v1.{service}/{rpc}"
        metadata = [(METADATA_KEY, self.signer.sign(ADA, path, "tracking"))] if sign else []
        return getattr(stub(self.channel), rpc)(request, metadata=metadata, timeout=START_S)


_STUBS: dict[str, tuple[str, Any]] = {
    "CreateExperiment": (
        "ExperimentService",
        experiment_service_pb2_grpc.ExperimentServiceStub,
    ),
    "CreateRun": ("RunService", run_service_pb2_grpc.RunServiceStub),
    "GetRun": ("RunService", run_service_pb2_grpc.RunServiceStub),
    "StreamMetrics": ("MetricService", metric_service_pb2_grpc.MetricServiceStub),
    "Upload": ("ArtifactService", artifact_service_pb2_grpc.ArtifactServiceStub),
    "QueryUpload": ("ArtifactService", artifact_service_pb2_grpc.ArtifactServiceStub),
    "CreateArtifacts": ("ArtifactService", artifact_service_pb2_grpc.ArtifactServiceStub),
    "Download": ("ArtifactService", artifact_service_pb2_grpc.ArtifactServiceStub),
}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    process.start()
    yield process
    if process.popen.poll() is None:
        process.stop(signal.SIGKILL)


def made_run(process: Process) -> str:
    process.call(
        "CreateExperiment",
        experiment_service_pb2.CreateExperimentRequest(parent=WORKSPACE, experiment_id="wine"),
    )
    return str(process.call("CreateRun", run_service_pb2.CreateRunRequest(parent=WINE)).run.name)


def start_upload(process: Process, messages: Iterator[Any]) -> Any:
    stub = artifact_service_pb2_grpc.ArtifactServiceStub(process.channel)
    path = "/studbook.tracking.v1.ArtifactService/Upload"
    metadata = ((METADATA_KEY, process.signer.sign(ADA, path, "tracking")),)
    return stub.Upload.future(messages, metadata=metadata)


def reason(work: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as refused:
        work()
    metadata: dict[str, Any] = {
        entry.key: entry.value for entry in refused.value.trailing_metadata()
    }
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return refused.value.code().name, info.reason


def test_what_was_acknowledged_survives_sudden_death(process: Process) -> None:
    run = made_run(process)
    requests = (
        metric_service_pb2.StreamMetricsRequest(
            batch=batch(run, sequence=sequence, loss=[(sequence, 1.0)])
        )
        for sequence in range(1, 1_000_000)
    )
    acknowledged = []
    with suppress(grpc.RpcError):
        for response in process.call("StreamMetrics", requests):
            acknowledged.append(response.committed_sequence)
            if len(acknowledged) == 20:
                process.popen.kill()
    process.stop(signal.SIGKILL)
    process.start()

    (loss,) = process.call("GetRun", run_service_pb2.GetRunRequest(name=run)).run.metrics
    assert loss.count == loss.last_step >= acknowledged[-1] >= 20


def test_an_upload_goes_on_after_sudden_death(process: Process) -> None:
    run = made_run(process)
    data = os.urandom(5 << 20)
    query = artifact_service_pb2.QueryUploadRequest(run=run, digest=sha256(data))
    arrived = threading.Event()

    def part() -> Iterator[Any]:
        yield from upload_messages(run, data, upto=3 << 20)
        arrived.wait(START_S)

    call = start_upload(process, part())
    while process.call("QueryUpload", query).committed_size < 3 << 20:
        assert not call.done()
    process.stop(signal.SIGKILL)
    arrived.set()
    process.start()

    committed = process.call("QueryUpload", query).committed_size
    process.call("Upload", iter(upload_messages(run, data, write_offset=committed)))
    files = artifact_service_pb2.CreateArtifactsRequest(
        run=run, artifacts=[artifact_pb2.Artifact(path="x", digest=sha256(data))]
    )
    process.call("CreateArtifacts", files)
    download = artifact_service_pb2.DownloadRequest(run=run, path="x")
    parts = process.call("Download", download)

    assert committed == 3 << 20
    assert b"".join(part.data for part in parts) == data


def test_a_cancelled_upload_can_be_taken_up_again(process: Process) -> None:
    run = made_run(process)
    data = os.urandom(3 << 20)
    held = threading.Event()

    def part() -> Iterator[Any]:
        yield from upload_messages(run, data, upto=1 << 20)
        held.wait(START_S)

    call = start_upload(process, part())
    query = artifact_service_pb2.QueryUploadRequest(run=run, digest=sha256(data))
    while process.call("QueryUpload", query).committed_size < 1 << 20:
        assert not call.done()
    call.cancel()
    held.set()

    rest = upload_messages(run, data, write_offset=1 << 20)
    while True:
        try:
            committed = process.call("Upload", iter(rest)).committed_size
            break
        except grpc.RpcError as error:
            # Until the server has noticed that the first call is over.
            assert error.code() is grpc.StatusCode.ABORTED  # noqa: PT017 - retried
    assert committed == len(data)


def test_calls_without_the_gateways_word_are_refused(process: Process) -> None:
    request = run_service_pb2.GetRunRequest(name=f"{WINE}/runs/r")

    assert reason(lambda: process.call("GetRun", request, sign=False)) == (
        "UNAUTHENTICATED",
        "ASSERTION_INVALID",
    )
    assert reason(lambda: process.call("GetRun", request)) == ("NOT_FOUND", "NOT_FOUND")


def test_it_ends_in_good_order(process: Process) -> None:
    assert process.stop(signal.SIGTERM) == 0


def test_missing_settings_are_named_all_at_once() -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("STUDBOOK")
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tracking_service"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
    )

    assert ended.returncode == 1
    for name in ("DATABASE_URL", "ARTIFACT_STORE", "ASSERTION_TRUSTED_KEYS"):
        assert f"STUDBOOK_TRACKING_{name}" in ended.stderr
