"""A disk of artifacts that is full: refused with a reason, nothing half, and over when it is over.

The disk is a small one of its own where the tests may mount one, which takes root. Anywhere else,
and there as well, the system is told to give no file more than so many bytes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import threading
from typing import TYPE_CHECKING, Protocol

import pytest

from studbook import artifact_transfer
from studbook.exceptions import Unavailable
from studbook.file_digests import hash_file
from studbook.file_upload import send_bytes
from studbook.patience import Patience
from studbook.tracking.v1 import artifact_service_pb2
from tests.end_to_end import story
from tests.patience import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_stack.stack import LocalStack
    from tests.end_to_end.conftest import Everyone

MIB = 1024 * 1024
ROOM_MIB, LATER_MIB = 24, 96


class Disk(Protocol):
    """Where artifacts are."""

    def limit(self, stack: LocalStack, mib: int) -> None:
        """Let it hold so much; when the stack runs."""


class SmallDisk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self.is_mounted = self._mount(f"size={ROOM_MIB}m")

    def limit(self, _stack: LocalStack, mib: int) -> None:
        assert self._mount(f"remount,size={mib}m")

    def unmount(self) -> None:
        if self.is_mounted:
            subprocess.run(["/bin/umount", self._folder], check=True)

    def _mount(self, options: str) -> bool:
        command = ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


class ShortFiles:
    """A file system on which no file of the service gets longer than this."""

    def limit(self, stack: LocalStack, mib: int) -> None:
        pid = stack.pids()["tracking"]
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (mib * MIB, most))


@pytest.fixture
def small_disk(own_folder: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(own_folder / "artifacts")
    if not disk.is_mounted:
        pytest.skip("a disk can only be mounted by root; the tests with short files stand for it")
    yield disk
    disk.unmount()


@pytest.fixture(params=["small disk", "short files"])
def disk(request: pytest.FixtureRequest) -> Disk:
    if request.param == "short files":
        return ShortFiles()
    mounted: Disk = request.getfixturevalue("small_disk")
    return mounted


def names_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def refusal(people: Everyone, run: str, file: Path) -> Unavailable:
    """Send a file's bytes; what the service says when it does not take them.

    A stream that breaks in its middle may end without the reason; repeating it shows it (ADR 8).
    """
    while True:
        with pytest.raises(Unavailable) as caught:
            send_bytes(people.ada, run, hash_file(file), patience=Patience(attempts=1))
        if caught.value.reason != "SERVICE_UNAVAILABLE":
            return caught.value


def test_a_full_disk_refuses_and_serves_and_takes_files_again(
    disk: Disk, own_stack: LocalStack, people: Everyone, own_folder: Path, tmp_path: Path
) -> None:
    disk.limit(own_stack, ROOM_MIB)
    run = story.create_run(people.ada, story.create_experiment(people.ada, "full"))
    small, large = os.urandom(8 * MIB), os.urandom(40 * MIB)
    story.store_file(people.ada, run, "small.bin", small)
    (tmp_path / "large.bin").write_bytes(large)

    refused = refusal(people, run, tmp_path / "large.bin")

    assert refused.reason == "STORE_UNAVAILABLE"
    assert "full" in str(refused)
    # Nothing half is left, neither to be seen nor to take the room of others.
    listed = artifact_transfer.list_artifacts(people.ada, run)
    assert [artifact.path for artifact in listed] == ["small.bin"]
    assert names_below(own_folder / "artifacts" / "sha256") == {story.digest_of(small)[7:]}
    assert names_below(own_folder / "artifacts" / "partial") == set()
    # What is there is served, and what still fits is taken.
    artifact_transfer.download(people.ada, run, tmp_path / "back")
    assert (tmp_path / "back" / "small.bin").read_bytes() == small
    story.store_file(people.ada, run, "another.bin", os.urandom(4 * MIB))

    disk.limit(own_stack, LATER_MIB)

    artifact_transfer.upload(people.ada, run, tmp_path / "large.bin")
    artifact_transfer.download(people.ada, run, tmp_path / "again")
    assert (tmp_path / "again" / "large.bin").read_bytes() == large


@pytest.mark.usefixtures("small_disk")
def test_of_two_files_that_fit_one_by_one_the_first_gets_in(
    own_stack: LocalStack, people: Everyone, tmp_path: Path
) -> None:
    run = story.create_run(people.ada, story.create_experiment(people.ada, "full"))
    first, second = os.urandom(16 * MIB), os.urandom(16 * MIB)
    (tmp_path / "second.bin").write_bytes(second)
    go_on, failures = threading.Event(), list[BaseException]()

    def messages() -> Iterator[artifact_service_pb2.UploadRequest]:
        for number, message in enumerate(story.upload_messages(run, first)):
            if number == 12 * MIB // story.CHUNK:
                go_on.wait(PATIENCE_S)
            yield message

    def upload() -> None:
        try:
            people.ada.artifacts.Upload(messages())
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        query = artifact_service_pb2.QueryUploadRequest(run=run, digest=story.digest_of(first))
        wait_until(lambda: people.ada.artifacts.QueryUpload(query).committed_size >= 11 * MIB)
        assert refusal(people, run, tmp_path / "second.bin").reason == "STORE_UNAVAILABLE"
    finally:
        go_on.set()
        thread.join()
    assert failures == []
