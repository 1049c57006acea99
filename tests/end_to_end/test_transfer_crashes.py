"""kill -9 of either side at any byte of a transfer: every file arrives, whole and once."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from studbook import artifact_transfer
from studbook.tracking.v1 import artifact_service_pb2
from tests.end_to_end import story, transfer_process
from tests.patience import PATIENCE_S, insist

if TYPE_CHECKING:
    from pathlib import Path

    from local_stack.stack import LocalStack
    from tests.end_to_end.conftest import Everyone

MIB = 1024 * 1024
# One of each server.
KILLS = 2
# What is killed when is another thing in each run of the tests; what must hold is not.
moments = random.Random()  # noqa: S311 - moments, not secrets


@pytest.fixture
def run(people: Everyone) -> str:
    return story.create_run(people.ada, story.create_experiment(people.ada, "crash"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A large file, some that move beside it, an empty one and one that is there twice."""
    folder = tmp_path / "source"
    (folder / "small").mkdir(parents=True)
    (folder / "large.bin").write_bytes(os.urandom(48 * MIB + 4321))
    for number in range(6):
        (folder / "small" / f"{number}.bin").write_bytes(os.urandom(2 * MIB + number))
    (folder / "empty").write_bytes(b"")
    (folder / "twice.bin").write_bytes((folder / "small" / "0.bin").read_bytes())
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def recorded(people: Everyone, run: str) -> dict[str, str]:
    listed = artifact_transfer.list_artifacts(people.ada, run)
    return {file.path.removeprefix("data/"): file.digest.removeprefix("sha256:") for file in listed}


def check_store(stack: LocalStack) -> None:
    """Every file in the store has its digest for a name, and no upload is left unfinished."""
    store = stack.folder.path / "artifacts"
    stored = digests(store / "sha256")
    assert {name.partition("/")[2]: digest for name, digest in stored.items()} == {
        digest: digest for digest in stored.values()
    }
    assert digests(store / "partial") == {}


class Killer:
    """Kills server processes when a transfer has come to moments that chance has chosen."""

    def __init__(self, stack: LocalStack, total_bytes: int, first: str) -> None:
        names = cycle(["tracking", "gateway"] if first == "tracking" else ["gateway", "tracking"])
        chosen = sorted(moments.randrange(1, total_bytes) for _ in range(KILLS))
        self.left = list(zip(chosen, names, strict=False))
        self._stack = stack

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        if self.left and done_bytes >= self.left[0][0]:
            _, name = self.left.pop(0)
            # What was killed before must be there again to be killed.
            self._stack.wait_serving()
            self._stack.kill_child(name)


@pytest.mark.parametrize("first", ["tracking", "gateway"])
def test_transfers_outlive_the_servers(
    own_stack: LocalStack, people: Everyone, run: str, source: Path, tmp_path: Path, first: str
) -> None:
    expected = digests(source)
    total = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())

    killer = Killer(own_stack, total - 4 * MIB, first)
    insist(lambda: artifact_transfer.upload(people.ada, run, source, "data", progress=killer))
    assert killer.left == []
    own_stack.wait_serving()
    assert recorded(people, run) == expected
    check_store(own_stack)

    killer = Killer(own_stack, total, first)
    target = tmp_path / "target"
    insist(lambda: artifact_transfer.download(people.ada, run, target, progress=killer))
    assert killer.left == []
    # Exactly those: nothing half is left beside them.
    assert digests(target / "data") == expected


def move(
    stack: LocalStack, token: str, direction: str, run: str, folder: Path, bytes_to_live: int
) -> int:
    """Run a program that moves the files; returns its exit code."""
    environment = {
        **os.environ,
        transfer_process.ADDRESS: stack.addresses.gateway,
        transfer_process.TOKEN: token,
    }
    arguments = [direction, run, str(folder), str(bytes_to_live)]
    return subprocess.run(
        [sys.executable, "-m", transfer_process.__name__, *arguments],
        env=environment,
        check=False,
        timeout=PATIENCE_S,
    ).returncode


def test_transfers_outlive_the_client(
    own_stack: LocalStack,
    people: Everyone,
    own_tokens: dict[str, str],
    run: str,
    source: Path,
    tmp_path: Path,
) -> None:
    expected, target = digests(source), tmp_path / "target"
    query = artifact_service_pb2.QueryUploadRequest(
        run=run, digest=f"sha256:{expected['large.bin']}"
    )
    committed = [0]

    for _ in range(KILLS):
        code = move(
            own_stack, own_tokens["ada"], "upload", run, source, moments.randrange(1, 60 * MIB)
        )
        assert code == -signal.SIGKILL
        committed.append(people.ada.artifacts.QueryUpload(query).committed_size)
        assert recorded(people, run) == {}
    # Of what has come nothing is lost.
    assert committed == sorted(committed)
    assert move(own_stack, own_tokens["ada"], "upload", run, source, 0) == 0
    assert recorded(people, run) == expected
    check_store(own_stack)

    for _ in range(KILLS):
        code = move(
            own_stack, own_tokens["ada"], "download", run, target, moments.randrange(1, 60 * MIB)
        )
        assert code == -signal.SIGKILL
        there = digests(target)
        whole = {name: there[name] for name in there if ".part" not in name}
        assert whole.items() <= {f"data/{name}": found for name, found in expected.items()}.items()
    assert move(own_stack, own_tokens["ada"], "download", run, target, 0) == 0
    assert digests(target / "data") == expected
