"""Which paths are uploaded: not links out of a folder, odd names, or what is no file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from studbook import artifact_transfer
from studbook.exceptions import InvalidArgument, NotFound
from tests.unit.sdk.runs.conftest import RUN

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.client import Client
    from tests.unit.sdk.runs.loopback_state import Stored


def test_links_out_of_a_folder_are_not_uploaded(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "inside").symlink_to(folder / "empty")
    assert len(artifact_transfer.upload(client, RUN, folder, "ok")) == 4
    (folder / "outside").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidArgument, match="symbolic link out of"):
        artifact_transfer.upload(client, RUN, folder)


def test_a_link_to_a_folder_inside_counts_as_that_folder(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    (folder / "latest").symlink_to("inner", target_is_directory=True)
    sent = artifact_transfer.upload(client, RUN, folder, "data")
    assert "data/latest/note.txt" in [artifact.path for artifact in sent]
    (tmp_path / "elsewhere").mkdir()
    (folder / "away").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InvalidArgument, match="symbolic link out of"):
        artifact_transfer.upload(client, RUN, folder)


@pytest.mark.parametrize(
    ("target", "what"), [("..", "a folder that it lies in"), ("nowhere", "to nothing")]
)
def test_links_that_lead_nowhere_are_told_clearly(
    client: Client, stored: Stored, folder: Path, target: str, what: str
) -> None:
    (folder / "inner" / "link").symlink_to(target)
    with pytest.raises(InvalidArgument, match=what) as caught:
        artifact_transfer.upload(client, RUN, folder)
    assert caught.value.reason == "ARTIFACT_PATH_INVALID"
    assert not stored.artifacts


@pytest.mark.parametrize("name", [b"line\nbreak", b"bell\x07", b"not-utf8-\xff", b"back\\slash"])
def test_names_that_no_other_system_takes_are_not_uploaded(
    client: Client, stored: Stored, folder: Path, name: bytes
) -> None:
    (folder / os.fsdecode(name)).write_text("x")
    with pytest.raises(InvalidArgument, match="UTF-8, and must not hold backslashes or control"):
        artifact_transfer.upload(client, RUN, folder)
    assert not stored.artifacts


def test_an_empty_path_is_not_the_current_folder(client: Client, stored: Stored) -> None:
    with pytest.raises(InvalidArgument, match="is empty"):
        artifact_transfer.upload(client, RUN, "")
    assert not stored.artifacts


def test_pipes_are_not_uploaded(client: Client, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidArgument, match="neither a file nor a folder"):
        artifact_transfer.upload(client, RUN, tmp_path / "pipe")
    with pytest.raises(NotFound):
        artifact_transfer.upload(client, RUN, tmp_path / "nothing")
