"""Registering a version and fetching it: a directory has all of it, or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from studbook import artifact_transfer, model_registry
from studbook.exceptions import AlreadyExists, NotFound, Unavailable, VerificationFailed
from studbook.model_directory import MARKER
from tests.unit.sdk.runs.conftest import RUN

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.client import Client
    from tests.unit.sdk.runs.loopback_state import Stored


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    (folder / "parts").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights" * 100_000)
    (folder / "parts" / "labels.json").write_text("[]")
    return folder


@pytest.fixture
def registered(client: Client, model: Path) -> str:
    artifact_transfer.upload(client, RUN, model, "model")
    model_registry.register(RUN, "wine-cultivar", "1.0.0", "model", client=client)
    return "wine-cultivar@1.0.0"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def test_a_version_is_fetched_whole(
    client: Client, registered: str, model: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    target = tmp_path / "serving" / "model"
    fetched = model_registry.fetch(
        registered, target, client=client, progress=lambda done, total: seen.append((done, total))
    )
    assert contents(target) == contents(model)
    assert fetched.path == target
    assert [file.name for file in fetched.files] == ["model.bin", "labels.json"]
    assert json.loads((target / MARKER).read_text())["digest"] == fetched.version.digest
    assert seen[-1] == (700_002, 700_002)
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_second_fetch_only_verifies(
    client: Client, stored: Stored, registered: str, tmp_path: Path
) -> None:
    model_registry.fetch(registered, tmp_path / "m", client=client)
    before = stored.calls.count("FetchArtifacts")
    model_registry.fetch(registered, tmp_path / "m", client=client)
    assert stored.calls.count("FetchArtifacts") == before
    (tmp_path / "m" / "model.bin").write_bytes(b"tampered with")
    model_registry.fetch(registered, tmp_path / "m", client=client)
    assert stored.calls.count("FetchArtifacts") > before
    assert (tmp_path / "m" / "model.bin").read_bytes() == b"weights" * 100_000


def test_another_version_takes_the_place_of_the_first(
    client: Client, registered: str, model: Path, tmp_path: Path
) -> None:
    model_registry.fetch(registered, tmp_path / "m", client=client)
    (model / "model.bin").write_bytes(b"better weights")
    (model / "parts" / "labels.json").unlink()
    artifact_transfer.upload(client, RUN, model, "better")
    model_registry.register(RUN, "wine-cultivar", "1.1.0", ["better"], client=client)
    model_registry.fetch("wine-cultivar@1.1.0", tmp_path / "m", client=client)
    assert contents(tmp_path / "m") == {"model.bin": b"better weights"}
    assert not [path for path in tmp_path.iterdir() if "studbook" in path.name]


def test_what_is_no_fetched_model_is_not_replaced(
    client: Client, registered: str, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").write_text("years of work")
    with pytest.raises(AlreadyExists):
        model_registry.fetch(registered, tmp_path / "m", client=client)
    assert contents(tmp_path / "m") == {"thesis.txt": b"years of work"}
    (tmp_path / "empty").mkdir()
    model_registry.fetch(registered, tmp_path / "empty", client=client)


def test_wrong_bytes_never_get_the_directorys_name(
    client: Client, stored: Stored, registered: str, tmp_path: Path
) -> None:
    version = stored.versions["workspaces/main/models/wine-cultivar/versions/1.0.0"]
    (stored.blobs / version.files[0].digest[7:]).write_bytes(b"W" * 700_000)
    with pytest.raises(VerificationFailed) as caught:
        model_registry.fetch(registered, tmp_path / "m", client=client)
    assert caught.value.exit_code == 6
    assert not (tmp_path / "m").exists()


def test_a_listing_that_does_not_add_up_is_refused(
    client: Client, stored: Stored, registered: str, tmp_path: Path
) -> None:
    version = stored.versions["workspaces/main/models/wine-cultivar/versions/1.0.0"]
    del version.files[1:]
    with pytest.raises(VerificationFailed, match="add up to"):
        model_registry.fetch(registered, tmp_path / "m", client=client)
    assert stored.calls.count("FetchArtifacts") == 0


def test_a_fetch_that_broke_off_goes_on(
    client: Client, stored: Stored, registered: str, tmp_path: Path
) -> None:
    stored.unavailable["FetchArtifacts"] = 1
    stored.break_after = 100_000
    model_registry.fetch(registered, tmp_path / "m", client=client)
    assert stored.calls.count("FetchArtifacts") == 4  # refused, broken, the rest, the other file


def test_what_is_not_there_is_not_found(client: Client, stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        model_registry.fetch("wine-cultivar", tmp_path / "m", client=client)
    assert (caught.value.reason, caught.value.exit_code) == ("STAGE_EMPTY", 3)
    assert not (tmp_path / "m").exists()


def test_a_number_is_used_once(client: Client, registered: str) -> None:
    with pytest.raises(AlreadyExists) as caught:
        model_registry.register(RUN, "wine-cultivar", "1.0.0", "model", client=client)
    assert "1.0.1" in caught.value.next_step


def test_retries_end(client: Client, stored: Stored, registered: str) -> None:
    stored.unavailable["ResolveVersion"] = 2
    assert model_registry.resolve(registered, client=client).version.version == "1.0.0"
    stored.unavailable["ResolveVersion"] = 100
    with pytest.raises(Unavailable):
        model_registry.resolve(registered, client=client)
