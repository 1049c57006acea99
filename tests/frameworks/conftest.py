"""A running Studbook, and programs that log into it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.client import Client
from studbook.tracking.v1 import artifact_service_pb2, metric_service_pb2, run_service_pb2
from tests.end_to_end.conftest import FixedToken, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.tracking.v1 import run_pb2

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = "workspaces/main/experiments/frameworks"


@dataclass(frozen=True)
class Recorded:
    """What has been recorded by the programs of a test."""

    client: Client

    def run(self, run: str) -> run_pb2.Run:
        return self.client.runs.GetRun(run_service_pb2.GetRunRequest(name=run)).run

    def runs(self, experiment: str) -> list[run_pb2.Run]:
        request = run_service_pb2.ListRunsRequest(
            parent=f"workspaces/main/experiments/{experiment}"
        )
        return list(self.client.runs.ListRuns(request).runs)

    def points(self, run: str, key: str) -> list[tuple[int, float]]:
        request = metric_service_pb2.ReadMetricsRequest(runs=[run], keys=[key])
        return sorted(
            point
            for part in self.client.metrics.ReadMetrics(request)
            for point in zip(part.series.steps, part.series.values, strict=True)
        )

    def files(self, run: str) -> list[str]:
        request = artifact_service_pb2.ListArtifactsRequest(parent=run)
        return [file.path for file in self.client.artifacts.ListArtifacts(request).artifacts]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack"), Ports.from_base(0)) as running:
        yield running


@pytest.fixture
def recorded(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recorded]:
    """The settings of a user's programs, and what they have recorded."""
    token = tokens_of(stack)["ada"]
    monkeypatch.setenv("STUDBOOK_ADDRESS", stack.addresses.gateway)
    monkeypatch.setenv("STUDBOOK_TOKEN", token)
    monkeypatch.setenv("STUDBOOK_DIR", str(tmp_path / "records"))
    with Client(stack.addresses.gateway, token_source=FixedToken(token)) as client:
        yield Recorded(client)
    # Whatever the programs were, nothing of what they logged is left behind.
    left = tmp_path / "records"
    assert not left.exists() or list(left.iterdir()) == []


def finish(folder: Path, *command: str | Path) -> str:
    """Run a program to its end; what it printed, in which no complaint of ours may stand."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Studbook:" not in done.stderr
    return done.stdout
