"""A peer on loopback, a client for it, and record folders of the test's own."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from studbook.client import Client
from tests.unit.sdk.runs.loopback_server import serve
from tests.unit.sdk.runs.loopback_state import Stored, Token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN = "workspaces/main/experiments/wine/runs/first"
MIB = 1024 * 1024
CONTENT = random.Random(1).randbytes(3 * MIB + 17)  # noqa: S311 - incompressible, no secret


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    return Stored(blobs)


@pytest.fixture
def port(stored: Stored) -> Iterator[int]:
    server, port = serve(stored)
    yield port
    server.stop(0).wait()


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    with Client(f"127.0.0.1:{port}", workspace="main", token_source=Token()) as client:
        yield client


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for records, and no setting of the developer's in the way."""
    for name in ("MODE", "WORKSPACE", "TOKEN_FILE", "CA_FILE"):
        monkeypatch.delenv(f"STUDBOOK_{name}", raising=False)
    # Metrics that a test has not logged would be in the way; they have tests of their own.
    monkeypatch.setenv("STUDBOOK_SYSTEM_METRICS", "off")
    folder = tmp_path / "records"
    monkeypatch.setenv("STUDBOOK_DIR", str(folder))
    monkeypatch.setenv("STUDBOOK_TOKEN", "a-token")
    return folder


@pytest.fixture
def online(records: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STUDBOOK_ADDRESS", f"127.0.0.1:{port}")
    return records


@pytest.fixture
def offline(online: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STUDBOOK_MODE", "offline")
    return online


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files to upload: a large one, an empty one and one further down."""
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "big.bin").write_bytes(CONTENT)
    # Of two changes in the same few milliseconds a file system may tell the times alike.
    earlier_ns = (source / "big.bin").stat().st_mtime_ns - 1_000_000_000
    os.utime(source / "big.bin", ns=(earlier_ns, earlier_ns))
    (source / "empty").write_bytes(b"")
    (source / "inner" / "note.txt").write_text("hello")
    return source
