"""Files by digest: resumable uploads, verified bytes, one writer at a time."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service_chassis.blob_store import FolderBlobStore, byte_range, open_blob_store
from service_chassis.errors import Code, StudbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SCOPE = "workspaces/main"
DATA = bytes(range(256)) * 41


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


DIGEST = digest_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobStore:
    return FolderBlobStore(tmp_path / "blobs")


def upload(store: FolderBlobStore, data: bytes, offset: int = 0) -> None:
    with store.open_upload(SCOPE, digest_of(data), len(data), offset) as writer:
        writer.write(data[offset:])
        writer.commit()


def read_all(store: FolderBlobStore, digest: str, size: int) -> bytes:
    return b"".join(store.read(digest, 0, size))


def partial_files(store: FolderBlobStore, tmp_path: Path) -> list[Path]:
    return list((tmp_path / "blobs" / "partial").iterdir())


@pytest.mark.parametrize("data", [DATA, b""])
def test_a_file_appears_when_it_is_whole(
    store: FolderBlobStore, tmp_path: Path, data: bytes
) -> None:
    digest = digest_of(data)
    with store.open_upload(SCOPE, digest, len(data), 0) as writer:
        writer.write(data)
        assert store.size(digest) is None
        assert writer.committed == len(data)
        writer.commit()
    assert store.size(digest) == len(data)
    assert read_all(store, digest, len(data)) == data
    assert store.recompute(digest) == digest
    assert (tmp_path / "blobs" / "sha256" / digest[:2] / digest).read_bytes() == data
    assert partial_files(store, tmp_path) == []


@settings(max_examples=50)
@given(cuts=st.lists(st.integers(0, len(DATA)), max_size=5), chunk=st.integers(1, 5000))
def test_an_upload_can_break_at_any_byte(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], chunk: int
) -> None:
    root = tmp_path_factory.mktemp("blobs")
    for end in [*sorted(cuts), len(DATA)]:
        # A new store each time, as after a restart.
        store = FolderBlobStore(root)
        offset = store.upload_offset(SCOPE, DIGEST)
        with store.open_upload(SCOPE, DIGEST, len(DATA), offset) as writer:
            assert writer.committed == offset
            for start in range(offset, end, chunk):
                writer.write(DATA[start : min(start + chunk, end)])
            if end == len(DATA):
                writer.commit()
                break
        assert store.upload_offset(SCOPE, DIGEST) == end
    assert read_all(store, DIGEST, len(DATA)) == DATA


def test_an_upload_goes_on_only_where_it_broke_or_anew(store: FolderBlobStore) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.write(DATA[:100])
    for offset in (1, 99, 101, len(DATA) + 1, -1):
        with pytest.raises(StudbookError) as caught:
            store.open_upload(SCOPE, DIGEST, len(DATA), offset)
        assert caught.value.reason == "OFFSET_OUT_OF_RANGE"
        assert caught.value.metadata == {"offset": str(offset), "size": "100"}
    upload(store, DATA)
    assert read_all(store, DIGEST, len(DATA)) == DATA


def test_an_incomplete_upload_can_be_resumed_after_commit(store: FolderBlobStore) -> None:
    writer = store.open_upload(SCOPE, DIGEST, len(DATA), 0)
    writer.write(DATA[:7])
    with pytest.raises(StudbookError) as caught:
        writer.commit()
    assert caught.value.reason == "UPLOAD_INCOMPLETE"
    assert caught.value.metadata == {"committed_size": "7", "size": str(len(DATA))}
    upload(store, DATA, 7)
    assert store.size(DIGEST) == len(DATA)


def test_wrong_bytes_are_dropped(store: FolderBlobStore, tmp_path: Path) -> None:
    wrong = DATA[:-1] + b"?"
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.write(wrong)
        with pytest.raises(StudbookError) as caught:
            writer.commit()
    assert caught.value.reason == "DIGEST_MISMATCH"
    assert caught.value.metadata == {
        "declared": f"sha256:{DIGEST}",
        "actual": f"sha256:{digest_of(wrong)}",
    }
    assert store.size(DIGEST) is None
    assert partial_files(store, tmp_path) == []


def test_more_bytes_than_announced_are_dropped(store: FolderBlobStore, tmp_path: Path) -> None:
    with (
        store.open_upload(SCOPE, DIGEST, 10, 0) as writer,
        pytest.raises(StudbookError, match="more bytes came"),
    ):
        writer.write(DATA)
    assert partial_files(store, tmp_path) == []


def test_bytes_damaged_between_two_calls_do_not_get_in(
    store: FolderBlobStore, tmp_path: Path
) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.write(DATA[:100])
    partial_files(store, tmp_path)[0].write_bytes(b"\0" * 100)
    with pytest.raises(StudbookError) as caught:
        upload(store, DATA, 100)
    assert caught.value.reason == "DIGEST_MISMATCH"


def test_a_second_upload_of_a_digest_is_turned_away(store: FolderBlobStore) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.write(DATA[:10])
        with pytest.raises(
            StudbookError, match="Another upload of this digest is going on"
        ) as caught:
            store.open_upload(SCOPE, DIGEST, len(DATA), 10)
        assert caught.value.code is Code.ABORTED
        assert caught.value.reason == "TRANSACTION_CONFLICT"
        writer.write(DATA[10:])
        writer.commit()
    assert read_all(store, DIGEST, len(DATA)) == DATA


def test_scopes_do_not_see_each_others_uploads(store: FolderBlobStore) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as mine:
        mine.write(DATA[:10])
        assert store.upload_offset("workspaces/other", DIGEST) == 0
        with store.open_upload("workspaces/other", DIGEST, len(DATA), 0) as theirs:
            theirs.write(DATA)
            theirs.commit()
        mine.write(DATA[10:])
        mine.commit()
    assert store.recompute(DIGEST) == DIGEST


def test_many_uploads_at_once_leave_one_good_file(store: FolderBlobStore, tmp_path: Path) -> None:
    def try_upload(_: int) -> bool:
        try:
            upload(store, DATA)
        except StudbookError as error:
            if error.reason != "TRANSACTION_CONFLICT":
                raise
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(try_upload, range(64)))
    assert any(results)
    assert store.recompute(DIGEST) == DIGEST
    assert partial_files(store, tmp_path) == []


def test_a_writer_never_gets_hold_of_a_file_in_its_place(
    store: FolderBlobStore, tmp_path: Path
) -> None:
    """The partial file is renamed after another call has opened it and before that locks it."""
    first = store.open_upload(SCOPE, DIGEST, len(DATA), 0)
    first.write(DATA)
    real_open = os.open

    def open_and_lose(path: Path, flags: int, *mode: int) -> int:
        descriptor = real_open(path, flags, *mode)
        if store.size(DIGEST) is None and flags & os.O_CREAT:
            with mock.patch("os.open", real_open):
                first.commit()
        return descriptor

    with mock.patch("service_chassis.blob_upload.os.open", open_and_lose):
        second = store.open_upload(SCOPE, DIGEST, len(DATA), 0)
    second.write(b"x")
    second.suspend()
    assert store.recompute(DIGEST) == DIGEST


def test_an_ended_upload_takes_no_more_bytes(store: FolderBlobStore) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.suspend()
        writer.suspend()
        with pytest.raises(ValueError, match="has ended"):
            writer.write(b"x")
        with pytest.raises(ValueError, match="has ended"):
            writer.commit()


@pytest.mark.parametrize(
    ("number", "text", "kept"),
    [
        # What there is no room for gives back the room that it took.
        (errno.ENOSPC, "is full", 0),
        (errno.EFBIG, "is full", 0),
        (errno.EIO, "cannot be used", 1000),
    ],
)
def test_a_full_or_broken_disk_is_unavailable(
    store: FolderBlobStore, number: int, text: str, kept: int
) -> None:
    real_write = os.pwrite

    def write_some(descriptor: int, data: memoryview, offset: int) -> int:
        if len(data) < len(DATA):
            raise OSError(number, os.strerror(number))
        return real_write(descriptor, data[:1000], offset)

    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        with (
            mock.patch("studbook.disk_traffic.os.pwrite", write_some),
            pytest.raises(StudbookError, match=text) as caught,
        ):
            writer.write(DATA)
        assert caught.value.code is Code.UNAVAILABLE
        assert caught.value.reason == "STORE_UNAVAILABLE"
    assert store.upload_offset(SCOPE, DIGEST) == kept
    upload(store, DATA, kept)
    assert store.recompute(DIGEST) == DIGEST


def test_a_file_that_cannot_be_made_durable_does_not_count(store: FolderBlobStore) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.write(DATA)
        with (
            mock.patch("service_chassis.blob_upload.os.fsync", side_effect=OSError(errno.EIO, "")),
            pytest.raises(StudbookError, match="artifact store"),
        ):
            writer.commit()
    assert store.size(DIGEST) is None
    assert store.upload_offset(SCOPE, DIGEST) == 0


@given(
    offset=st.integers(0, len(DATA)), count=st.integers(0, len(DATA)), chunk=st.integers(1, 3000)
)
@settings(max_examples=30)
def test_any_range_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, offset: int, count: int, chunk: int
) -> None:
    store = FolderBlobStore(tmp_path_factory.getbasetemp() / "ranges")
    if store.size(DIGEST) is None:
        upload(store, DATA)
    limit = byte_range(offset, count, len(DATA))
    pieces = list(store.read(DIGEST, offset, limit, chunk))
    assert b"".join(pieces) == (DATA[offset : offset + count] if count else DATA[offset:])
    assert all(len(piece) <= chunk for piece in pieces)


@pytest.mark.parametrize("offset", [-1, 11])
def test_offsets_outside_the_file_are_out_of_range(offset: int) -> None:
    with pytest.raises(StudbookError) as caught:
        byte_range(offset, 0, 10)
    assert caught.value.reason == "OFFSET_OUT_OF_RANGE"
    assert byte_range(10, 0, 10) == 0
    with pytest.raises(StudbookError, match="read_limit"):
        byte_range(0, -1, 10)


def test_lost_bytes_are_reported(store: FolderBlobStore, tmp_path: Path) -> None:
    upload(store, DATA)
    path = tmp_path / "blobs" / "sha256" / DIGEST[:2] / DIGEST
    path.chmod(0o600)
    path.write_bytes(DATA[:100])
    reading = store.read(DIGEST, 0, len(DATA), 64)
    assert next(reading) == DATA[:64]
    with pytest.raises(StudbookError, match="ends at 100") as caught:
        list(reading)
    assert caught.value.code is Code.DATA_LOSS
    assert caught.value.metadata == {"digest": f"sha256:{DIGEST}"}
    path.write_bytes(b"!" + DATA[1:])
    assert store.recompute(DIGEST) != DIGEST
    upload(store, DATA)
    assert store.recompute(DIGEST) == DIGEST


@pytest.mark.parametrize(
    "look", [lambda store: store.recompute(DIGEST), lambda store: list(store.read(DIGEST, 0, 1))]
)
def test_a_missing_file_is_reported(
    store: FolderBlobStore, look: Callable[[FolderBlobStore], object]
) -> None:
    with pytest.raises(StudbookError, match="is missing") as caught:
        look(store)
    assert caught.value.reason == "BLOB_CORRUPT"


def test_removed_files_are_gone_but_reads_go_on(store: FolderBlobStore) -> None:
    upload(store, DATA)
    reading = store.read(DIGEST, 0, len(DATA), 100)
    start = bytes(next(reading))
    with store.collecting(DIGEST[:2]) as collection:
        assert collection is not None
        assert collection.remove([DIGEST]) == (1, len(DATA))
        assert collection.remove([DIGEST]) == (0, 0)
    assert store.size(DIGEST) is None
    assert start + b"".join(reading) == DATA


def test_files_that_another_collector_removes_meanwhile_are_passed_over(
    store: FolderBlobStore,
) -> None:
    """One goes after the shelf's names were read and before its age is looked at."""
    upload(store, DATA)
    real_scandir = os.scandir

    @contextmanager
    def scan_and_lose(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with real_scandir(folder) as entries:
            found = list(entries)
        with store.collecting(DIGEST[:2]) as collection:
            assert collection is not None
            assert collection.remove([DIGEST]) == (1, len(DATA))
        yield found

    assert store.shelf_digests(DIGEST[:2], 0) == [DIGEST]
    with mock.patch("service_chassis.blob_store.os.scandir", scan_and_lose):
        assert store.shelf_digests(DIGEST[:2], 0) == []


def test_only_uploads_that_nobody_works_on_are_discarded(
    store: FolderBlobStore, tmp_path: Path
) -> None:
    with store.open_upload(SCOPE, DIGEST, len(DATA), 0) as writer:
        writer.write(DATA[:10])
        assert store.discard_stale_uploads(0) == 0
    assert store.discard_stale_uploads(3600) == 0
    assert store.discard_stale_uploads(0) == 1
    assert partial_files(store, tmp_path) == []


@pytest.mark.parametrize("digest", ["../../etc/passwd", "ab", DIGEST.upper(), DIGEST + "\n", ""])
def test_digests_cannot_lead_to_other_files(store: FolderBlobStore, digest: str) -> None:
    for look in (
        store.size,
        store.recompute,
        lambda value: store.upload_offset(SCOPE, value),
        lambda value: store.open_upload(SCOPE, value, 1, 0),
        lambda value: list(store.read(value, 0, 1)),
    ):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            look(digest)


def test_stores_are_opened_by_url_or_path(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    upload(open_blob_store(str(folder)), DATA)
    assert open_blob_store(folder.as_uri()).size(DIGEST) == len(DATA)


@pytest.mark.parametrize(
    "url", ["", "s3://bucket/x", "file://host/x", "file:relative", "https://x/y"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="neither a file:/// URL nor a path"):
        open_blob_store(url)
