"""Copies of logged files: each as the file was at one moment."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from studbook.exceptions import Conflict
from studbook.record_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture
def place(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def change(path: Path) -> None:
    """Make the file begin anew and be longer."""
    with path.open("r+b") as file:
        file.write(os.urandom(8))
        file.seek(0, os.SEEK_END)
        file.write(b"more")


def copies(place: RunFolder) -> list[Path]:
    return list((place.path / "files").iterdir())


def test_a_copy_has_the_bytes_and_their_digest(place: RunFolder, tmp_path: Path) -> None:
    data = os.urandom(3 * MIB + 5)
    (tmp_path / "file").write_bytes(data)

    staged = place.stage(tmp_path / "file")

    assert staged.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert staged.path.read_bytes() == data
    assert copies(place) == [staged.path]


def test_a_file_that_changes_while_it_is_copied_is_copied_again(
    place: RunFolder, tmp_path: Path
) -> None:
    path, changes = tmp_path / "file", 0
    path.write_bytes(os.urandom(3 * MIB))

    def on_bytes(_count: int) -> None:
        nonlocal changes
        if changes < 2:
            changes += 1
            change(path)

    staged = place.stage(path, on_bytes)

    assert staged.path.read_bytes() == path.read_bytes()
    assert staged.digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_file_that_never_rests_is_not_logged(place: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * MIB))

    with pytest.raises(Conflict, match="changed while it was copied, 3 times") as caught:
        place.stage(path, lambda _count: change(path))

    assert "rename it" in caught.value.next_step
    assert copies(place) == []


def test_bytes_that_are_there_already_stay_untouched(place: RunFolder, tmp_path: Path) -> None:
    # They may be on their way to the server, which takes no file that changes meanwhile.
    (tmp_path / "file").write_bytes(b"the same")
    first = place.stage(tmp_path / "file")
    inode = first.path.stat().st_ino

    second = place.stage_bytes(b"the same")

    assert second.digest == first.digest
    assert second.path.stat().st_ino == inode
    assert copies(place) == [first.path]
