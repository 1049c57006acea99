"""ArtifactService, as its contract promises."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from service_chassis.errors import Code, StudbookError
from studbook.tracking.v1 import artifact_service_pb2, run_service_pb2
from tests.store.tracking.at_work import sha256, upload_messages
from tracking_service.tables import artifacts, workspace_blobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.store.tracking.at_work import Tracking

# Nested messages are written as dicts, which the stubs' annotations do not know of.
pb: Any = artifact_service_pb2

# Three messages and a bit.
DATA = bytes(range(256)) * (13 << 10)


def refused(work: Callable[[], Any]) -> StudbookError:
    with pytest.raises(StudbookError) as refusal:
        work()
    return refusal.value


def reason(work: Callable[[], Any]) -> str:
    return refused(work).reason


def missing(tracking: Tracking, run: str, *data: bytes) -> list[str]:
    request = pb.FindMissingRequest(run=run, digests=[sha256(part) for part in data])
    return list(tracking.call("FindMissing", request).missing_digests)


def query(tracking: Tracking, run: str, data: bytes) -> tuple[int, bool]:
    request = pb.QueryUploadRequest(run=run, digest=sha256(data))
    response = tracking.call("QueryUpload", request)
    return response.committed_size, response.complete


def paths(tracking: Tracking, run: str, **values: Any) -> list[str]:
    request = pb.ListArtifactsRequest(parent=run, **values)
    found = []
    while True:
        page = tracking.call("ListArtifacts", request)
        found += [artifact.path for artifact in page.artifacts]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def rows(tracking: Tracking) -> int:
    """Rows that speak of files."""

    def count(connection: sa.Connection) -> int:
        tables = (artifacts, workspace_blobs)
        counts = (sa.select(sa.func.count()).select_from(table) for table in tables)
        return sum(connection.execute(count).scalar_one() for count in counts)

    return tracking.database.read_now(count)


def test_what_goes_in_comes_out(tracking: Tracking) -> None:
    run = tracking.run().name
    assert missing(tracking, run, DATA) == [sha256(DATA)]

    assert tracking.upload(run, DATA) == len(DATA)
    (recorded,) = tracking.record(run, {"model/weights.bin": DATA})

    assert missing(tracking, run, DATA) == []
    assert query(tracking, run, DATA) == (len(DATA), True)
    assert recorded.size_bytes == len(DATA)
    assert recorded.digest == sha256(DATA)
    assert tracking.download(run, "model/weights.bin") == DATA


def test_an_empty_file(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"empty": b""})

    (part,) = tracking.call("Download", pb.DownloadRequest(run=run, path="empty"))

    assert (part.artifact.size_bytes, part.data) == (0, b"")


def test_an_upload_goes_on_where_it_stopped(tracking: Tracking) -> None:
    run = tracking.run().name

    broken = refused(lambda: tracking.call("Upload", upload_messages(run, DATA, upto=1_500_000)))

    assert (broken.code, broken.reason) == (Code.ABORTED, "UPLOAD_INCOMPLETE")
    assert broken.metadata == {"committed_size": "1500000", "size": str(len(DATA))}
    assert query(tracking, run, DATA) == (1_500_000, False)
    assert missing(tracking, run, DATA) == [sha256(DATA)]
    assert rows(tracking) == 0
    wrong = refused(lambda: tracking.upload(run, DATA, write_offset=7))
    assert (wrong.code, wrong.reason) == (Code.OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE")
    assert tracking.upload(run, DATA, write_offset=1_500_000) == len(DATA)
    tracking.record(run, {"x": DATA})
    assert tracking.download(run, "x") == DATA


def test_wrong_bytes_are_dropped(tracking: Tracking, tmp_path: Path) -> None:
    run = tracking.run().name

    refusal = refused(lambda: tracking.upload(run, b"good", digest=sha256(b"bad!")))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "DIGEST_MISMATCH")
    assert query(tracking, run, b"bad!") == (0, False)
    assert rows(tracking) == 0
    assert not [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]


def remove_from_disk(tracking: Tracking, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    with tracking.blobs.collecting(digest[:2]) as collection:
        assert collection is not None
        assert collection.remove([digest]) == (1, len(data))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "FIELD_REQUIRED"),
        ([pb.UploadRequest(data=b"x")], "FIELD_REQUIRED"),
        ([pb.UploadRequest(header={"run": "x"})], "RESOURCE_NAME_INVALID"),
    ],
)
def test_an_upload_begins_with_its_header(
    tracking: Tracking, messages: list[Any], expected: str
) -> None:
    assert reason(lambda: tracking.call("Upload", messages)) == expected


def test_bad_uploads(tracking: Tracking) -> None:
    run = tracking.run().name

    assert reason(lambda: tracking.upload(run, b"x", digest="sha256:xyz")) == "FIELD_INVALID"
    assert reason(lambda: tracking.upload(run, b"x", size_bytes=-1)) == "FIELD_INVALID"
    assert reason(lambda: tracking.upload(run, b"xy", size_bytes=1)) == "FIELD_INVALID"
    assert reason(lambda: tracking.upload(f"{run}x", b"x")) == "NOT_FOUND"
    header, _ = upload_messages(run, b"x")
    large = pb.UploadRequest(data=b"x" * ((2 << 20) + 1))
    assert reason(lambda: tracking.call("Upload", [header, large])) == "FIELD_INVALID"
    assert reason(lambda: tracking.call("Upload", [header, header])) == "FIELD_REQUIRED"
    assert rows(tracking) == 0


def test_bytes_that_are_there_end_the_call_early(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.upload(run, DATA)

    header = upload_messages(run, DATA)[:1]

    assert tracking.call("Upload", header).committed_size == len(DATA)


def test_bytes_of_another_workspace_count_as_missing(tracking: Tracking) -> None:
    other = tracking.run(parent=tracking.experiment("workspaces/b/experiments/e").name).name
    run = tracking.run().name
    tracking.put(run, {"x": DATA})

    assert missing(tracking, other, DATA) == [sha256(DATA)]
    assert query(tracking, other, DATA) == (0, False)
    assert reason(lambda: tracking.record(other, {"x": DATA})) == "BLOB_MISSING"
    # Whoever has the bytes can upload them; knowing the digest is not enough.
    header = upload_messages(other, DATA)[:1]
    assert reason(lambda: tracking.call("Upload", header)) == "UPLOAD_INCOMPLETE"
    tracking.put(other, {"x": DATA})
    assert tracking.download(other, "x") == DATA
    assert tracking.download(run, "x") == DATA


def test_recording_again_changes_nothing(tracking: Tracking) -> None:
    run = tracking.run().name
    first = tracking.put(run, {"a": b"1", "b": b"2"})

    assert tracking.record(run, {"b": b"2", "a": b"1"}) == first[::-1]


def test_a_path_is_replaced_only_when_asked(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"a": b"1"})
    tracking.upload(run, b"2")

    refusal = refused(lambda: tracking.record(run, {"new": b"2", "a": b"2"}))
    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "ALREADY_EXISTS")
    # All or nothing.
    assert paths(tracking, run) == ["a"]
    tracking.record(run, {"new": b"2", "a": b"2"}, allow_overwrite=True)
    assert tracking.download(run, "a") == b"2"


def test_a_held_path_keeps_its_bytes(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"a": b"1"})
    tracking.upload(run, b"2")
    tracking.hold(run, run_service_pb2.HOLD_LEVEL_FILES)

    refusal = refused(lambda: tracking.record(run, {"a": b"2"}, allow_overwrite=True))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "RESOURCE_HELD")
    assert refusal.metadata["holder"].endswith("/versions/1.0.0")
    tracking.record(run, {"b": b"2"})
    assert tracking.download(run, "a") == b"1"


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", "a\\b", "a\nb", "é" * 513])
def test_paths_that_lead_elsewhere_are_refused(tracking: Tracking, path: str) -> None:
    run = tracking.run().name
    tracking.upload(run, b"1")

    refusal = refused(lambda: tracking.record(run, {path: b"1"}))

    assert refusal.reason == "ARTIFACT_PATH_INVALID"
    assert refusal.fields[0].field == "artifacts[0].path"
    assert paths(tracking, run) == []


@pytest.mark.parametrize(
    ("present", "new"),
    [
        (["a"], ["a/b"]),
        (["a/b/c"], ["a"]),
        (["a/b/c"], ["a/b"]),
        ([], ["a", "a/b"]),
        (["x"], [*(f"f{i}" for i in range(150)), "x/y"]),
        (["f149/y"], [f"f{i}" for i in range(150)]),
    ],
)
def test_a_path_is_a_file_or_a_folder(
    tracking: Tracking, present: list[str], new: list[str]
) -> None:
    run = tracking.run().name
    tracking.upload(run, b"1")
    if present:
        tracking.record(run, dict.fromkeys(present, b"1"))

    refusal = refused(lambda: tracking.record(run, dict.fromkeys(new, b"1")))

    assert refusal.reason == "ARTIFACT_PATH_INVALID"
    assert paths(tracking, run) == present


def test_names_that_only_begin_alike_are_no_folders(tracking: Tracking) -> None:
    run = tracking.run().name
    names = ["a", "a.b", "a0", "a-b/c", "aa/b", "a b"]

    tracking.put(run, dict.fromkeys(names, b"1"))

    assert paths(tracking, run) == sorted(names)


def test_bad_recordings(tracking: Tracking) -> None:
    run = tracking.run().name

    def record(*files: dict[str, str]) -> str:
        request = pb.CreateArtifactsRequest(run=run, artifacts=files)
        return reason(lambda: tracking.call("CreateArtifacts", request))

    file = {"path": "a", "digest": sha256(b"1")}
    assert record() == "FIELD_REQUIRED"
    assert record(file, file) == "FIELD_INVALID"
    assert record({**file, "media_type": "m" * 129}) == "FIELD_INVALID"
    assert record({**file, "digest": ""}) == "FIELD_REQUIRED"
    assert record(*({**file, "path": str(i)} for i in range(1001))) == "FIELD_INVALID"
    assert record(file) == "BLOB_MISSING"
    assert reason(lambda: missing(tracking, run)) == "FIELD_REQUIRED"
    assert reason(lambda: missing(tracking, f"{run}x", b"1")) == "NOT_FOUND"


def test_lists(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"b": b"22", "a/z": b"1", "C": b"333"})

    assert paths(tracking, run) == ["C", "a/z", "b"]
    assert paths(tracking, run, page_size=1, order_by="size_bytes desc") == ["C", "b", "a/z"]
    assert paths(tracking, run, filter="size_bytes >= 2 AND path != b") == ["C"]
    assert paths(tracking, run, filter=f'digest = "{sha256(b"1")}"') == ["a/z"]
    assert reason(lambda: paths(tracking, run, filter="x = 1")) == "FILTER_INVALID"
    assert reason(lambda: paths(tracking, f"{run}x")) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("offset", "limit"),
    [
        (0, 0),
        (5, 0),
        (5, 10),
        (2_000_000, 1_100_000),
        (len(DATA), 0),
        (len(DATA), 1),
        # Whoever asks for more than there is gets what there is.
        (5, 1_000_000_000),
        (5, 2**63 - 1),
    ],
)
def test_ranges(tracking: Tracking, offset: int, limit: int) -> None:
    run = tracking.run().name
    tracking.put(run, {"x": DATA})

    got = tracking.download(run, "x", read_offset=offset, read_limit=limit)

    assert got == (DATA[offset : offset + limit] if limit else DATA[offset:])


def test_bad_downloads(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"x": b"123"})

    assert reason(lambda: tracking.download(run, "y")) == "NOT_FOUND"
    assert reason(lambda: tracking.download(f"{run}x", "x")) == "NOT_FOUND"
    assert reason(lambda: tracking.download(run, "../x")) == "ARTIFACT_PATH_INVALID"
    for limit in (-1, -(2**63)):
        assert reason(lambda: tracking.download(run, "x", read_limit=limit)) == "FIELD_INVALID"  # noqa: B023
    for offset in (-1, 4, 2**63 - 1, -(2**63)):
        refusal = refused(lambda: tracking.download(run, "x", read_offset=offset))  # noqa: B023
        assert (refusal.code, refusal.reason) == (Code.OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE")


def test_a_file_of_a_deleted_run_can_be_read(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"x": b"123"})
    tracking.delete(run)

    assert tracking.download(run, "x") == b"123"


def test_lost_bytes_are_data_loss_and_missing_again(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"x": DATA})
    remove_from_disk(tracking, DATA)

    refusal = refused(lambda: tracking.download(run, "x"))

    assert (refusal.code, refusal.reason) == (Code.DATA_LOSS, "BLOB_CORRUPT")
    assert missing(tracking, run, DATA) == [sha256(DATA)]
    tracking.upload(run, DATA)
    assert tracking.download(run, "x") == DATA
