"""Bytes that no file refers to are removed; no others ever are."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from service_chassis.errors import StudbookError
from studbook.tracking.v1 import artifact_service_pb2, run_service_pb2
from tests.store.tracking import collecting
from tests.store.tracking.at_work import GRACE_S, sha256, upload_messages
from tests.store.tracking.collecting import collect, entries, hex_digest, stored, usage
from tracking_service.collection import Collected, Collector, GracePeriods
from tracking_service.store.blobs import BlobStore

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking

DAY_S = 24 * 3600.0
DATA, OTHER = b"the bytes of a file" * 1000, b"other bytes"
SCOPE = "main"


def missing(tracking: Tracking, run: str, data: bytes) -> bool:
    request = artifact_service_pb2.FindMissingRequest(run=run, digests=[sha256(data)])
    return bool(tracking.call("FindMissing", request).missing_digests)


def test_bytes_that_no_file_refers_to_go_after_the_grace_period(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.upload(run, DATA)
    tracking.put(run, {"kept": OTHER})
    assert sum(usage(tracking).values()) == len(DATA) + len(OTHER)

    assert collect(tracking, GRACE_S, DAY_S) == Collected()
    collecting.pass_time(tracking, GRACE_S + 1)
    found = collect(tracking, GRACE_S, DAY_S)

    assert found == Collected(blobs=1, files=1, file_bytes=len(DATA))
    assert stored(tracking) == {hex_digest(OTHER)}
    assert sum(usage(tracking).values()) == len(OTHER)
    assert missing(tracking, run, DATA)
    with pytest.raises(StudbookError, match="upload them first"):
        tracking.record(run, {"late": DATA})
    tracking.put(run, {"late": DATA})
    assert tracking.download(run, "late") == DATA
    assert tracking.download(run, "kept") == OTHER


def test_a_replaced_file_lets_go_of_its_bytes(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"a": DATA, "b": DATA})
    tracking.upload(run, OTHER)
    tracking.record(run, {"a": OTHER}, allow_overwrite=True)
    collecting.pass_time(tracking, 2 * GRACE_S)
    assert collect(tracking, GRACE_S, DAY_S) == Collected()

    tracking.record(run, {"b": OTHER}, allow_overwrite=True)

    assert collect(tracking, GRACE_S, DAY_S).files == 1
    assert stored(tracking) == {hex_digest(OTHER)}


def test_files_of_a_deleted_run_stay_because_it_can_be_restored(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"a": DATA})
    tracking.delete(run)
    collecting.pass_time(tracking, 100 * GRACE_S)

    assert collect(tracking, GRACE_S, DAY_S) == Collected()
    tracking.call("UndeleteRun", run_service_pb2.UndeleteRunRequest(name=run))
    assert tracking.download(run, "a") == DATA


def test_whoever_is_told_that_bytes_are_there_can_record_them(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.upload(run, DATA)
    # Late enough to be collected soon, had nobody asked.
    collecting.pass_time(tracking, 0.9 * GRACE_S)

    assert not missing(tracking, run, DATA)
    collecting.pass_time(tracking, 0.7 * GRACE_S)
    assert collect(tracking, GRACE_S, DAY_S) == Collected()
    tracking.record(run, {"a": DATA})

    collecting.pass_time(tracking, 2 * GRACE_S)
    assert collect(tracking, GRACE_S, DAY_S) == Collected()
    assert tracking.download(run, "a") == DATA


def test_a_file_stays_while_one_workspace_has_it(tracking: Tracking) -> None:
    run = tracking.run().name
    other = tracking.run(parent=tracking.experiment("workspaces/b/experiments/e").name).name
    tracking.put(run, {"a": DATA})
    tracking.upload(other, DATA)
    collecting.pass_time(tracking, 2 * GRACE_S)

    assert collect(tracking, GRACE_S, DAY_S) == Collected(blobs=1)

    assert entries(tracking) == {"main": {hex_digest(DATA)}}
    assert missing(tracking, other, DATA)
    assert tracking.download(run, "a") == DATA


def test_a_file_that_a_crash_left_without_owner_goes(tracking: Tracking) -> None:
    digest = hex_digest(DATA)
    with tracking.blobs.open_upload(SCOPE, digest, len(DATA), 0) as writer:
        writer.write(DATA)
        writer.commit()
    assert collect(tracking, GRACE_S, DAY_S) == Collected()

    collecting.pass_time(tracking, 2 * GRACE_S)

    assert collect(tracking, GRACE_S, DAY_S) == Collected(files=1, file_bytes=len(DATA))


def test_interrupted_uploads_can_be_resumed_for_a_time(tracking: Tracking) -> None:
    run = tracking.run().name
    with pytest.raises(StudbookError, match="resume at 100"):
        tracking.call("Upload", upload_messages(run, DATA, upto=100))
    collecting.pass_time(tracking, DAY_S - 60)
    assert collect(tracking, GRACE_S, DAY_S) == Collected()

    collecting.pass_time(tracking, 120)

    assert collect(tracking, GRACE_S, DAY_S) == Collected(uploads=1)
    assert collecting.unfinished(tracking) == 0
    tracking.upload(run, DATA)


def test_looking_says_what_collecting_would_remove_and_removes_nothing(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.upload(run, DATA)
    tracking.put(run, {"kept": OTHER})
    collecting.pass_time(tracking, 2 * GRACE_S)
    collector = Collector(tracking.database, tracking.blobs, GracePeriods(GRACE_S, DAY_S))
    before = stored(tracking), entries(tracking)

    seen = collector.look()

    assert seen == Collected(blobs=1, files=1, file_bytes=len(DATA))
    assert (stored(tracking), entries(tracking)) == before
    assert collector.collect(stopping=lambda: True) == Collected()
    assert collector.collect() == seen


def test_a_file_that_is_not_recorded_yet_cannot_be_collected(tracking: Tracking) -> None:
    """The moment between a file's appearing and the entry that says who has it."""
    collector = Collector(tracking.database, tracking.blobs, GracePeriods(0, 0))
    with tracking.blobs.open_upload(SCOPE, hex_digest(DATA), len(DATA), 0) as writer:
        writer.write(DATA)
        writer.commit()
        found = collector.collect()
        assert (found.files, found.shelves_in_use) == (0, 1)
        assert stored(tracking) == {hex_digest(DATA)}
    assert collector.collect().files == 1


def test_no_file_appears_while_a_shelf_is_looked_through(tracking: Tracking) -> None:
    digest = hex_digest(DATA)
    appeared = threading.Event()

    def upload() -> None:
        with tracking.blobs.open_upload(SCOPE, digest, len(DATA), 0) as writer:
            writer.write(DATA)
            writer.commit()
            appeared.set()

    thread = threading.Thread(target=upload)
    with tracking.blobs.collecting(digest[:2]) as collection:
        assert collection is not None
        thread.start()
        # It must not: so there is nothing to wait for but time.
        assert not appeared.wait(0.2)
        assert collection.remove([digest]) == (0, 0)
    thread.join()
    assert appeared.is_set()
    assert stored(tracking) == {digest}


def test_a_call_given_up_while_its_bytes_are_recorded_protects_them(tracking: Tracking) -> None:
    """It leaves bytes and the entry for them, or neither; not an entry without bytes."""
    run = tracking.run().name
    recording, go_on = threading.Event(), threading.Event()
    add = BlobStore.add

    def add_slowly(store: BlobStore, *arguments: Any) -> bool:
        recording.set()
        assert go_on.wait(60)
        return add(store, *arguments)

    async def give_up() -> None:
        call = asyncio.create_task(tracking.call_async("Upload", upload_messages(run, DATA)))
        assert await asyncio.to_thread(recording.wait, 60)
        call.cancel()
        collector = Collector(tracking.database, tracking.blobs, GracePeriods(0, 0))
        await asyncio.to_thread(collector.collect)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call

    with mock.patch.object(BlobStore, "add", add_slowly):
        asyncio.run(give_up())
    collect(tracking, GRACE_S, DAY_S)

    assert entries(tracking) == {"main": stored(tracking)}
    assert not missing(tracking, run, DATA)
    tracking.record(run, {"a": DATA})
    assert tracking.download(run, "a") == DATA
