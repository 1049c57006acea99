"""The commands under `studbook run`, against a peer on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from studbook.cli.__main__ import run
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2_grpc,
    metric_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
)
from tests.unit.cli.going_run import RUN, GoingRun
from tests.unit.cli.made_runs import RUNS, make_full_run, make_run
from tests.unit.sdk.runs.loopback_server import Artifacts
from tests.unit.sdk.runs.loopback_state import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 1_000_000


@dataclass
class Peer:
    """What the peer knows and was asked."""

    stored: Stored
    going: GoingRun = field(default_factory=GoingRun)
    runs: list[run_pb2.Run] = field(default_factory=list)
    listed: list[run_service_pb2.ListRunsRequest] = field(default_factory=list)
    compared: list[run_service_pb2.CompareRunsRequest] = field(default_factory=list)

    def put(self, path: str, data: bytes) -> Path:
        """Store a file of the run that goes on; returns where its bytes are."""
        digest = hashlib.sha256(data).hexdigest()
        blob = self.stored.blobs / digest
        blob.write_bytes(data)
        self.stored.artifacts[RUN, path] = artifact_pb2.Artifact(
            run=RUN, path=path, digest=f"sha256:{digest}", size_bytes=len(data)
        )
        return blob


class _Runs(run_service_pb2_grpc.RunServiceServicer):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def ListRuns(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self._peer.listed.append(request)
        start = int(request.page_token or 0)
        end = start + min(request.page_size, 2)
        return run_service_pb2.ListRunsResponse(
            runs=self._peer.runs[start:end],
            next_page_token=str(end) if end < len(self._peer.runs) else "",
        )

    def GetRun(self, request: Any, _context: Any) -> Any:  # noqa: N802
        for known in self._peer.runs:
            if known.name == request.name:
                return run_service_pb2.GetRunResponse(run=known)
        return self._peer.going.get_run(request)

    def CompareRuns(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self._peer.compared.append(request)
        return run_service_pb2.CompareRunsResponse(
            runs=[make_run(name.rpartition("/")[2]) for name in request.runs]
        )


class _Metrics(metric_service_pb2_grpc.MetricServiceServicer):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def ReadMetrics(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return self._peer.going.read_metrics(request, timeout=1)


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    peer = Peer(Stored(blobs))
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    # The generated base classes answer UNIMPLEMENTED to what the peer leaves out.
    run_service_pb2_grpc.add_RunServiceServicer_to_server(_Runs(peer), server)  # type: ignore[abstract]
    metric_service_pb2_grpc.add_MetricServiceServicer_to_server(_Metrics(peer), server)  # type: ignore[abstract]
    artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(Artifacts(peer.stored), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("STUDBOOK_ADDRESS", f"127.0.0.1:{port}")
    monkeypatch.setenv("STUDBOOK_TOKEN", "a-token")
    monkeypatch.delenv("STUDBOOK_WORKSPACE", raising=False)
    yield peer
    server.stop(0).wait()


def test_ls_asks_for_what_was_typed_page_by_page(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.runs = [make_run(run_id) for run_id in "abcde"]

    asked = ["--filter", "params.C > 0.1", "--order-by", "start_time", "--deleted"]
    printed = ["--limit", "3", "--columns", "run,params.*"]
    assert run(["run", "ls", "wine", *asked, *printed]) == 0

    assert capsys.readouterr().out == "wine/a\t0.5\nwine/b\t0.5\nwine/c\t0.5\n"
    assert [request.page_size for request in peer.listed] == [3, 1]
    for request in peer.listed:
        assert request.parent == "workspaces/main/experiments/wine"
        assert request.filter == "params.C > 0.1"
        assert request.order_by == "start_time"
        assert request.show_deleted


def test_ls_for_programs(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    peer.runs = [make_run("a")]

    assert run(["run", "ls", "--json"]) == 0
    assert [told["name"] for told in json.loads(capsys.readouterr().out)] == [f"{RUNS}/a"]
    assert run(["run", "ls", "-q"]) == 0
    assert capsys.readouterr().out == "wine/a\n"


def test_ls_refuses_a_column_before_it_calls(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "ls", "--columns", "run,colour"]) == 2
    assert 'no column "colour"' in capsys.readouterr().err
    assert peer.listed == []


def test_show(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    peer.runs = [make_full_run()]
    peer.put("model.bin", b"model")

    assert run(["run", "show", RUN]) == 0
    shown = capsys.readouterr().out
    assert "Run\twine/otter\n" in shown
    assert "Artifacts\t1 file, 5 B\n" in shown

    assert run(["run", "show", RUN, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"]["branch"] == "main"


def test_compare_names_the_runs_in_order(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{RUNS}/{run_id}" for run_id in "ba"]

    assert run(["run", "compare", *names, "--baseline", names[1]]) == 0
    assert capsys.readouterr().out.startswith("\trun\twine/b\twine/a\n")
    assert run(["run", "compare", *names, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2

    assert [list(request.runs) for request in peer.compared] == [names, names]
    assert [request.baseline for request in peer.compared] == [names[1], ""]


def test_compare_takes_two_at_least(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "compare", f"{RUNS}/a"]) == 2
    assert "at least two" in capsys.readouterr().err
    assert peer.compared == []


def test_a_whole_machine_made_id_is_not_looked_up(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ["0123456789abcdef" * 2, "fedcba9876543210" * 2]

    assert run(["run", "compare", *(f"wine/{run_id}" for run_id in ids)]) == 0
    capsys.readouterr()

    assert list(peer.compared[0].runs) == [f"{RUNS}/{run_id}" for run_id in ids]
    assert peer.listed == []


@pytest.mark.parametrize(
    ("state", "code"), [(run_pb2.RUN_STATE_FINISHED, 0), (run_pb2.RUN_STATE_KILLED, 1)]
)
def test_tail_of_an_ended_run(
    peer: Peer,
    capsys: pytest.CaptureFixture[str],
    state: run_pb2.RunState.ValueType,
    code: int,
) -> None:
    peer.going.log("loss", *[(step * SECOND, step, step / 2) for step in range(100)])
    peer.going.log("acc", *[(step * SECOND, step, 1.0) for step in range(100)])
    peer.going.end(state)

    assert run(["run", "tail", RUN, "-n", "2", "--key", "loss"]) == code
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[1:] for line in lines[:2]] == [["98", "loss=49"], ["99", "loss=49.5"]]
    assert lines[2][1] == "state"

    assert run(["run", "tail", RUN, "-n", "1", "--json"]) == code
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["step"], first["metrics"]) == ("99", {"acc": 1.0, "loss": 49.5})


@dataclass
class Tail:
    """`studbook run tail` as a process."""

    process: subprocess.Popen[str]

    def lines(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        return [self.process.stdout.readline().rstrip("\n") for _ in range(count)]


@pytest.fixture
def tail(peer: Peer) -> Iterator[Tail]:
    peer.going.log("loss", (0, 0, 1.0))
    command = [sys.executable, "-m", "studbook.cli", "run", "tail", RUN]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        yield Tail(process)
        if process.poll() is None:
            process.kill()


def test_tail_prints_lines_as_they_come_until_the_end(peer: Peer, tail: Tail) -> None:
    state, first = tail.lines(2)
    assert state.endswith("\tstate\trunning")
    assert first.endswith("\t0\tloss=1")

    peer.going.log("loss", (SECOND, 1, 0.5))
    assert tail.lines(1)[0].endswith("\t1\tloss=0.5")

    peer.going.end()
    out, err = tail.process.communicate(timeout=60)
    assert out.endswith("\tstate\tfinished\n")
    assert err == ""
    assert tail.process.returncode == 0


def test_ctrl_c_ends_tail_quietly(tail: Tail) -> None:
    tail.lines(2)

    tail.process.send_signal(signal.SIGINT)
    out, err = tail.process.communicate(timeout=60)

    assert (out, err) == ("", "")
    assert tail.process.returncode == 130


def test_ls_artifacts(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    digest = peer.put("data/a.bin", b"a" * 2000).name
    peer.put("b.bin", b"b")

    assert run(["run", "ls-artifacts", RUN]) == 0
    assert f"data/a.bin\t2000\t-\tsha256:{digest}\n" in capsys.readouterr().out
    assert run(["run", "ls-artifacts", RUN, "-q"]) == 0
    assert capsys.readouterr().out == "b.bin\ndata/a.bin\n"
    assert run(["run", "ls-artifacts", RUN, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_the_former_name_of_ls_artifacts_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "artifacts", RUN]) == 2
    assert "No such command" in capsys.readouterr().err


def test_download_of_everything(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.put("data/a.bin", b"a" * 2000)
    peer.put("b.bin", b"b")
    target = tmp_path / "target"

    assert run(["run", "download", RUN, str(target)]) == 0

    said = capsys.readouterr()
    assert said.out == f"{target}/b.bin\n{target}/data/a.bin\n"
    assert "2 files" in said.err
    assert (target / "data" / "a.bin").read_bytes() == b"a" * 2000


def test_download_of_files_and_folders(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("data/a.bin", "data/b.bin", "database.bin", "c.bin", "d.bin"):
        peer.put(path, path.encode())
    target = tmp_path / "target"

    assert run(["run", "download", RUN, "data/", "c.bin", str(target), "--json"]) == 0

    files = [str(target / path) for path in ("c.bin", "data/a.bin", "data/b.bin")]
    assert json.loads(capsys.readouterr().out) == {
        "run": RUN,
        "directory": str(target),
        "files": files,
    }


def test_download_of_what_is_not_there_fetches_nothing(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.put("a.bin", b"a")

    assert run(["run", "download", RUN, "a.bin", "b.bin", str(tmp_path / "target")]) == 3
    assert "no artifact b.bin" in capsys.readouterr().err
    assert not (tmp_path / "target").exists()


def test_download_goes_on_where_it_was_broken_off(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = os.urandom(300_000)
    peer.put("a.bin", data)
    peer.stored.break_after = 100_000

    assert run(["run", "download", RUN, str(tmp_path / "target")]) == 0
    assert (tmp_path / "target" / "a.bin").read_bytes() == data
    assert peer.stored.calls.count("Download") == 2
    capsys.readouterr()


def test_wrong_bytes_are_refused_with_their_own_exit_code(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.put("a.bin", b"the right bytes").write_bytes(b"the wrong bytes")
    target = tmp_path / "target"

    assert run(["run", "download", RUN, str(target)]) == 6
    assert "Try again. If it stays so" in capsys.readouterr().err
    assert not (target / "a.bin").exists()
