"""Clients that upload, record and read while collection goes on beside them all the time."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studbook.tracking.v1 import artifact_service_pb2
from tests.store.tracking import collecting
from tests.store.tracking.at_work import NO_LIMITS, Tracking, sha256
from tests.store.tracking.collecting import collect, hex_digest, refusal_of
from tracking_service.collection import Collector, GracePeriods
from tracking_service.store.blobs import Blob, BlobStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service_chassis.database import Database

Step = tuple[str, str, bytes]

CONTENTS = [b"one" * 20, b"two", b"three" * 10]
WORKSPACES = ["a", "b"]
# Uploads that may be collected before they are recorded are made again, so often at most.
_ATTEMPTS = 1000
_LONGEST_PAUSE_S = 0.003

step = st.tuples(
    st.sampled_from(["put", "ask", "read"]),
    st.sampled_from(["x", "y/z"]),
    st.sampled_from(CONTENTS),
)


def pause() -> None:
    """Let others go first, sometimes."""
    time.sleep(random.uniform(0, _LONGEST_PAUSE_S))  # noqa: S311 - spreads moments, hides nothing


@pytest.fixture
def narrow_moments_are_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """More happens between what must not be torn apart, and collection comes by more often."""
    shelves = sorted({hex_digest(data)[:2] for data in CONTENTS})
    monkeypatch.setattr("tracking_service.collection.SHELVES", shelves)
    add, owners = BlobStore.add, BlobStore.owners

    def add_late(store: BlobStore, *arguments: Any) -> bool:
        pause()
        return add(store, *arguments)

    def owners_of_late(store: BlobStore, digests: Sequence[str]) -> list[Blob]:
        found = owners(store, digests)
        pause()
        return found

    monkeypatch.setattr(BlobStore, "add", add_late)
    monkeypatch.setattr(BlobStore, "owners", owners_of_late)


@pytest.mark.usefixtures("narrow_moments_are_wide")
def test_nothing_that_is_needed_is_ever_collected(
    database_factory: Callable[[str], Database], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_at_once(database_factory("tracking_service"), tmp_path_factory)


@given(plans=st.lists(st.lists(step, min_size=4, max_size=12), min_size=2, max_size=5))
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
def run_at_once(
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
    plans: list[list[Step]],
) -> None:
    """Each plan in a thread and with a run of its own, while two threads collect all the time.

    Nothing is left alone for any time, so only what really holds bytes protects them: an upload
    that is under way, and a file that refers to them.
    """
    collecting.empty(database)
    tracking = Tracking(database, tmp_path_factory.mktemp("artifacts"), NO_LIMITS, grace_s=0)
    parents = [
        tracking.experiment(f"workspaces/{workspace}/experiments/e").name
        for workspace in WORKSPACES
    ]
    runs = [tracking.run(parent=parents[number % 2]).name for number in range(len(plans))]
    done = threading.Event()

    def keep_collecting() -> None:
        collector = Collector(database, tracking.blobs, GracePeriods(0, 0))
        while not done.is_set():
            collector.collect(stopping=done.is_set)

    with ThreadPoolExecutor(len(plans) + 2) as threads:
        collectors = [threads.submit(keep_collecting) for _ in range(2)]
        try:
            work = [
                threads.submit(follow, tracking, run, plan)
                for run, plan in zip(runs, plans, strict=True)
            ]
            recorded = [future.result() for future in work]
        finally:
            done.set()
        for collector in collectors:
            collector.result()
    collect(tracking, 0, 0)
    needed: dict[str, set[bytes]] = {}
    for run, files in zip(runs, recorded, strict=True):
        assert {path: tracking.download(run, path) for path in files} == files
        needed.setdefault(run.split("/")[1], set()).update(files.values())
    expected = {name: {hex_digest(data) for data in has} for name, has in needed.items() if has}
    assert collecting.entries(tracking) == expected
    assert collecting.stored(tracking) == set().union(*expected.values())
    assert collecting.usage(tracking) == {
        name: sum(map(len, has)) for name, has in needed.items() if has
    }
    assert collecting.unfinished(tracking) == 0


def follow(tracking: Tracking, run: str, plan: list[Step]) -> dict[str, bytes]:
    """Do as a client does; returns the files that the run then has."""
    files: dict[str, bytes] = {}
    for action, path, data in plan:
        if action == "put":
            put(tracking, run, path, data)
            files[path] = data
        elif action == "ask":
            request = artifact_service_pb2.FindMissingRequest(run=run, digests=[sha256(data)])
            missing = tracking.call("FindMissing", request).missing_digests
            assert not (missing and data in files.values())
        elif path in files:
            assert tracking.download(run, path) == files[path]
    return files


def put(tracking: Tracking, run: str, path: str, data: bytes) -> None:
    """Upload and record; both again when the bytes were collected in between."""
    for _ in range(_ATTEMPTS):
        refusal = refusal_of(lambda: tracking.upload(run, data)) or refusal_of(
            lambda: tracking.record(run, {path: data}, allow_overwrite=True)
        )
        if not refusal:
            return
        # Of two uploads of the same bytes at once, one is turned away.
        assert refusal in {"BLOB_MISSING", "TRANSACTION_CONFLICT"}
    message = f"{path} could not be recorded in {_ATTEMPTS} attempts"
    raise AssertionError(message)
