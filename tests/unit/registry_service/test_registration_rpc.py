"""Registering versions: what is asked of the tracking service, kept, verified and refused."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from typing import TYPE_CHECKING

from registry_service.catalogue import create_model
from registry_service.names import parse_version_name
from registry_service.records import File, Snapshot
from registry_service.registration import Registration, register
from registry_service.store import RegistryStore
from service_chassis.blob_store import FolderBlobStore, open_blob_store
from service_chassis.database import Database
from tests.patience import PATIENCE_S
from tests.unit.registry_service.serving_registry import (
    GRACE,
    MODEL,
    PARENT,
    RUN,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from sqlalchemy import Connection

FILES = {"model/model.joblib": b"forest", "model/meta/card.md": b"card", "plot.png": b"png"}


async def prepare(registry: Registry, *, stored: bool = True) -> None:
    registry.add_run(FILES, stored=stored)
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")


def test_a_version_is_verified_and_remembers_its_run(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        version = await registry.register("v1.0.0")
        assert version.name == f"{MODEL}/versions/1.0.0"
        assert version.state == 2
        assert version.stage == 1
        assert [file.path for file in version.files] == ["meta/card.md", "model.joblib"]
        lines = "".join(f"{file.digest[7:]}  {file.path}\n" for file in version.files)
        assert version.digest == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
        assert registry.tracking.holds == [(RUN, version.name, 1)]
        registry.tracking.runs.clear()
        answer = await registry.call("LineageService.GetLineage", name=version.name)
        assert answer.lineage.run.name == RUN
        assert [param.key for param in answer.lineage.run.params] == ["criterion", "max_depth"]
        assert answer.lineage.run.state == "FINISHED"
        assert answer.lineage.datasets[0].role == "training"
        assert answer.lineage.datasets[0].row_count == 178
        assert answer.lineage.code.dirty
        assert answer.lineage.environment.packages == {"numpy": "2.0"}
        assert not answer.transitions

    with_registry(tmp_path, test)


def test_what_cannot_be_registered_holds_nothing(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.register("1.0.0")
        held = list(registry.tracking.holds)
        before = await registry.ledger()
        code, reason, metadata = await refusal(
            registry.register("1.1.0", artifact_paths=["model", "absent"])
        )
        assert (code, reason) == ("FAILED_PRECONDITION", "FILES_MISSING")
        assert metadata == {"resource": RUN, "path": "absent"}
        _, reason, metadata = await refusal(registry.register("1.0.0"))
        assert reason == "VERSION_EXISTS"
        assert metadata["next_patch"] == "1.0.1"
        unknown = f"{PARENT}/experiments/wine/runs/unknown"
        code, reason, metadata = await refusal(registry.register("1.1.0", source_run=unknown))
        assert (code, reason, metadata["resource"]) == ("NOT_FOUND", "NOT_FOUND", unknown)
        registry.tracking.deleted.add(RUN)
        code, reason, _ = await refusal(registry.register("1.1.0"))
        assert (code, reason) == ("FAILED_PRECONDITION", "RUN_NOT_ACTIVE")
        registry.tracking.deleted.clear()
        await registry.register("1.1.0", validate_only=True)
        assert registry.tracking.holds == held
        assert await registry.ledger() == before

    with_registry(tmp_path, test)


def test_without_the_tracking_service_nothing_is_registered(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.tracking_server.stop(None)
        code, reason, metadata = await refusal(registry.register("1.0.0"))
        assert (code, reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
        assert metadata == {"service": "tracking"}
        answer = await registry.call("ModelService.ListVersions", parent=MODEL)
        assert not answer.versions

    with_registry(tmp_path, test)


def test_a_repeated_request_gets_the_first_answer(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        request_id = str(uuid.uuid4())
        first = await registry.register("1.0.0", request_id=request_id)
        await registry.tracking_server.stop(None)
        assert await registry.register("1.0.0", request_id=request_id) == first
        _, reason, _ = await refusal(registry.register("2.0.0", request_id=request_id))
        assert reason == "REQUEST_ID_REUSED"

    with_registry(tmp_path, test)


def test_the_registrar_must_be_allowed_to_read_the_run(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        blind = caller("ada", {"models.register": ("**",), "runs.read": ("workspaces/other/**",)})
        code, reason, metadata = await refusal(registry.register("1.0.0", by=blind))
        assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        assert (metadata["permission"], metadata["resource"]) == ("runs.read", RUN)
        assert registry.tracking.calls == 0

    with_registry(tmp_path, test)


def test_files_that_are_not_stored_make_the_version_failed(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, stored=False)
        version = await registry.register("1.0.0")
        assert version.state == 3
        assert version.state_reason.startswith("meta/card.md: no bytes are stored")
        _, reason, metadata = await refusal(registry.move("1.0.0", "STAGING"))
        assert (reason, metadata["state"]) == ("VERSION_NOT_READY", "FAILED")

    with_registry(tmp_path, test)


def test_bytes_that_changed_make_the_version_failed(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        digest = hashlib.sha256(b"forest").hexdigest()
        stored = tmp_path / "artifacts" / "sha256" / digest[:2] / digest
        stored.chmod(0o600)
        stored.write_bytes(b"Forest")
        version = await registry.register("1.0.0")
        assert version.state == 3
        assert "the stored bytes have" in version.state_reason
        entry = (await registry.ledger())[-1]
        assert entry.action == "version.verify"
        assert entry.actor.id == "service:studbook:registry"
        assert entry.caused_by == entry.position - 1

    with_registry(tmp_path, test)


async def state_in_the_end(registry: Registry, name: str) -> int:
    """The state of a version once it is verified; each look takes a call, so none is too many."""
    async with asyncio.timeout(20):
        while True:
            answer = await registry.call("ModelService.GetVersion", name=name)
            if answer.version.state != 1:
                return int(answer.version.state)


def test_large_versions_are_verified_in_the_background(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        version = await registry.register("1.0.0")
        assert version.state == 1
        assert await state_in_the_end(registry, version.name) == 2

    with_registry(tmp_path, test, verify_at_once_bytes=0)


def test_what_was_pending_is_verified_at_the_next_start(tmp_path: Path) -> None:
    name = f"{MODEL}/versions/1.0.0"
    write_down_unverified(tmp_path, name, b"forest")

    async def test(registry: Registry) -> None:
        assert await state_in_the_end(registry, name) == 2

    with_registry(tmp_path, test)


def write_down_unverified(folder: Path, name: str, content: bytes) -> None:
    """What is left of a registration when the process ends before the verification."""
    digest = hashlib.sha256(content).hexdigest()
    files = (File("model.joblib", digest, len(content), ""),)
    wanted = Registration(parse_version_name(name), RUN, ("model.joblib",), "", {})
    blobs = open_blob_store(str(folder / "artifacts"))
    writer = blobs.open_upload("main", digest, len(content), 0)
    writer.write(content)
    writer.commit()
    database = Database(f"sqlite:///{folder / 'registry.db'}", "registry_service")
    database.migrate()

    def work(connection: Connection) -> None:
        store = RegistryStore(connection)
        create_model(store, GRACE, MODEL, description="", tags={})
        register(store, GRACE, wanted, Snapshot(b"", hashlib.sha256().hexdigest(), files), files)

    database.write_now(work)
    database.close()


def test_a_folder_and_a_file_can_be_named_together(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        version = await registry.register("1.0.0", artifact_paths=["model/", "plot.png"])
        paths = [file.path for file in version.files]
        assert paths == ["meta/card.md", "model.joblib", "plot.png"]

    with_registry(tmp_path, test)


def test_a_registrar_who_goes_away_leaves_no_version_unverified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    recompute = FolderBlobStore.recompute

    def slow(store: FolderBlobStore, digest: str) -> str:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return recompute(store, digest)

    monkeypatch.setattr(FolderBlobStore, "recompute", slow)

    async def test(registry: Registry) -> None:
        await prepare(registry)
        registration = asyncio.create_task(registry.register("1.0.0"))
        assert await asyncio.to_thread(begun.wait, 20)
        registration.cancel()
        await asyncio.wait({registration})
        go_on.set()
        assert await state_in_the_end(registry, f"{MODEL}/versions/1.0.0") == 2

    with_registry(tmp_path, test)
