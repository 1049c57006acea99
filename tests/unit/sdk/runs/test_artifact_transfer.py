"""Files on their way to a peer and back, over a connection that breaks."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from studbook import artifact_transfer
from studbook.exceptions import (
    InvalidArgument,
    NotFound,
    Unauthenticated,
    Unavailable,
    VerificationFailed,
)
from studbook.file_digests import digest_of_listing, hash_file
from studbook.file_download import Part, receive
from studbook.file_upload import send_bytes
from studbook.patience import Patience
from tests.unit.sdk.runs.conftest import CONTENT, MIB, RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from studbook.client import Client
    from tests.unit.sdk.runs.loopback_state import Stored


def test_a_folder_goes_up_and_comes_back(client: Client, folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    sent = artifact_transfer.upload(
        client, RUN, folder, "data", progress=lambda done, total: seen.append((done, total))
    )
    assert [artifact.path for artifact in sent] == [
        "data/big.bin",
        "data/empty",
        "data/inner/note.txt",
    ]
    assert seen[-1] == (len(CONTENT) + 5, len(CONTENT) + 5)
    files = artifact_transfer.download(client, RUN, tmp_path / "target")
    assert [file.read_bytes() for file in files] == [CONTENT, b"", b"hello"]
    assert [
        path.name for path in (tmp_path / "target" / "data").iterdir() if "part" in path.name
    ] == []
    (only,) = artifact_transfer.download(client, RUN, tmp_path / "one", "data/inner")
    assert only == tmp_path / "one" / "data" / "inner" / "note.txt"
    with pytest.raises(NotFound):
        artifact_transfer.download(client, RUN, tmp_path / "none", "dat")


def test_bytes_that_are_there_are_not_sent_again(
    client: Client, stored: Stored, folder: Path
) -> None:
    artifact_transfer.upload(client, RUN, folder / "big.bin")
    artifact_transfer.upload(client, RUN, folder / "big.bin", "copy.bin")
    assert stored.calls.count("Upload") == 1
    assert stored.artifacts[RUN, "copy.bin"].size_bytes == len(CONTENT)


def test_a_broken_upload_goes_on_where_it_broke(
    client: Client, stored: Stored, folder: Path
) -> None:
    stored.break_after = 2 * MIB
    positions: list[int] = []
    send_bytes(client, RUN, hash_file(folder / "big.bin"), on_position=positions.append)
    assert stored.calls.count("Upload") == 2
    assert hash_file(folder / "big.bin").digest[7:] in {
        blob.name for blob in stored.blobs.iterdir()
    }
    assert positions[-1] == len(CONTENT)


def test_an_upload_outlives_the_token_that_it_began_with(
    client: Client, stored: Stored, folder: Path
) -> None:
    stored.expire_after = 2 * MIB
    send_bytes(client, RUN, hash_file(folder / "big.bin"))
    assert stored.calls.count("Upload") == 2
    assert hash_file(folder / "big.bin").digest[7:] in {
        blob.name for blob in stored.blobs.iterdir()
    }


def test_transfers_that_came_too_fast_wait_as_long_as_they_are_asked_to(
    client: Client, stored: Stored, folder: Path
) -> None:
    stored.too_fast["Upload"], stored.wait_s = 2, 20
    waits: list[float] = []
    patience = Patience(sleep=waits.append)
    send_bytes(client, RUN, hash_file(folder / "big.bin"), patience=patience)
    assert waits == [20, 20]


def test_a_token_that_is_not_renewed_ends_a_transfer() -> None:
    patience = Patience(sleep=lambda _: None)
    expired = Unauthenticated("It has expired.", reason="TOKEN_EXPIRED")
    patience.after(expired)
    with pytest.raises(Unauthenticated):
        patience.after(expired)
    patience.progressed()
    patience.after(expired)
    with pytest.raises(Unauthenticated):
        Patience(sleep=lambda _: None).after(Unauthenticated("It.", reason="TOKEN_REVOKED"))


def test_an_upload_gives_up_in_the_end(client: Client, stored: Stored, folder: Path) -> None:
    stored.unavailable["Upload"] = 100
    waits: list[float] = []
    patience = Patience(attempts=4, sleep=waits.append)
    with pytest.raises(Unavailable):
        send_bytes(client, RUN, hash_file(folder / "big.bin"), patience=patience)
    assert len(waits) == 3
    assert sorted(waits) == waits


@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_file_that_changes_is_told_clearly(
    client: Client, stored: Stored, folder: Path, change: str
) -> None:
    file = hash_file(folder / "big.bin")
    new = {"longer": CONTENT + b"x", "shorter": CONTENT[:10], "other": bytes(len(CONTENT))}[change]
    (folder / "big.bin").write_bytes(new)
    with pytest.raises(VerificationFailed, match="changed while it was being uploaded") as caught:
        send_bytes(client, RUN, file)
    assert caught.value.reason == "FILE_CHANGED"
    assert not stored.artifacts


@pytest.mark.parametrize("change", ["longer", "other"])
def test_a_file_that_changes_while_its_bytes_are_sent_is_not_stored(
    client: Client, stored: Stored, folder: Path, change: str
) -> None:
    path = folder / "big.bin"
    file = hash_file(path)

    def write(position: int) -> None:
        if position == MIB:
            with path.open("r+b") as opened:
                opened.seek(0, os.SEEK_END if change == "longer" else os.SEEK_SET)
                opened.write(b"new bytes")

    with pytest.raises(VerificationFailed, match="changed while it was being uploaded"):
        send_bytes(client, RUN, file, on_position=write)
    assert not stored.artifacts
    # What came, if anything, is kept under another name, and is never whole.
    for blob in stored.blobs.iterdir():
        assert blob.suffix == ".part"
        assert blob.stat().st_size < file.state.size


def test_a_file_that_vanishes_is_told_clearly(client: Client, stored: Stored, folder: Path) -> None:
    file = hash_file(folder / "big.bin")
    (folder / "big.bin").unlink()
    with pytest.raises(VerificationFailed, match="was removed while it was being uploaded"):
        send_bytes(client, RUN, file)
    assert not stored.artifacts


def test_a_file_that_changes_back_and_forth_is_refused_by_its_digest(
    client: Client, folder: Path
) -> None:
    path = folder / "big.bin"
    file = hash_file(path)
    times = path.stat()
    path.write_bytes(bytes(len(CONTENT)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(VerificationFailed, match="changed while"):
        send_bytes(client, RUN, file)


def test_a_broken_download_goes_on_where_it_broke(
    client: Client, stored: Stored, folder: Path, tmp_path: Path
) -> None:
    artifact_transfer.upload(client, RUN, folder / "big.bin")
    stored.break_after = MIB
    (file,) = artifact_transfer.download(client, RUN, tmp_path / "target")
    assert file.read_bytes() == CONTENT
    assert stored.calls.count("Download") == 2


def test_a_download_outlives_the_token_that_it_began_with(
    client: Client, stored: Stored, folder: Path, tmp_path: Path
) -> None:
    artifact_transfer.upload(client, RUN, folder / "big.bin")
    stored.expire_after = MIB
    (file,) = artifact_transfer.download(client, RUN, tmp_path / "target")
    assert file.read_bytes() == CONTENT
    assert stored.calls.count("Download") == 2


def test_a_download_that_was_cut_off_goes_on_in_the_next_program(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(CONTENT)
    part = Part("a/big.bin", hash_file(tmp_path / "big").digest, len(CONTENT))
    offsets: list[int] = []

    def source(offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        yield CONTENT[offset : offset + MIB]
        if offset == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        receive(tmp_path / "target", part, source, patience=Patience(sleep=lambda _: None))
    assert not (tmp_path / "target" / "a" / "big.bin").exists()
    file = receive(tmp_path / "target", part, source, patience=Patience(sleep=lambda _: None))
    assert file.read_bytes() == CONTENT
    assert offsets == [0, MIB, 2 * MIB, 3 * MIB]


def test_wrong_bytes_are_never_seen(
    client: Client, stored: Stored, folder: Path, tmp_path: Path
) -> None:
    (artifact,) = artifact_transfer.upload(client, RUN, folder / "big.bin")
    (stored.blobs / artifact.digest[7:]).write_bytes(bytes(len(CONTENT)))
    with pytest.raises(VerificationFailed) as caught:
        artifact_transfer.download(client, RUN, tmp_path / "target")
    assert caught.value.exit_code == 6
    assert list((tmp_path / "target").iterdir()) == []


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"abc")
    part = Part("x", hash_file(tmp_path / "small").digest, 3)
    with pytest.raises(VerificationFailed):
        receive(tmp_path / "target", part, lambda _: iter([bytes(MIB)] * 1000), patience=Patience())


def test_a_rotten_beginning_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(CONTENT)
    digest = hash_file(tmp_path / "big").digest
    target = tmp_path / "target"
    target.mkdir()
    (target / f".studbook-{digest[7:]}.part").write_bytes(b"rot" * 100)
    part = Part("big.bin", digest, len(CONTENT))
    file = receive(target, part, lambda offset: iter([CONTENT[offset:]]), patience=Patience())
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../x",
        "/x",
        "a//x",
        "a/./x",
        "",
        "a\\x",
        "a\x00x",
        "x/" * 512 + "x",
        "x" * 256,
        "a\nb",
        # What this would replace may be another file on its way.
        f"a/.studbook-{'0' * 64}.part",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    part = Part(path, "sha256:" + "0" * 64, 0)
    with pytest.raises(InvalidArgument) as caught:
        receive(tmp_path / "target", part, lambda _: iter([]), patience=Patience())
    assert caught.value.reason == "ARTIFACT_PATH_INVALID"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_in_the_target_folder_is_not_followed(tmp_path: Path, kind: str) -> None:
    target, outside = tmp_path / "target", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    if kind == "link":
        (target / "a").symlink_to(outside)
    else:
        (target / "a").write_text("in the way")
    part = Part("a/x", "sha256:" + "0" * 64, 1)
    with pytest.raises(InvalidArgument, match="in the target folder"):
        receive(target, part, lambda _: iter([b"x"]), patience=Patience())
    assert list(outside.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_named(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    artifact_transfer.upload(client, RUN, folder / "big.bin")
    (tmp_path / "target" / "big.bin").mkdir(parents=True)

    with pytest.raises(InvalidArgument, match=r"big\.bin is a folder, where a file is to be"):
        artifact_transfer.download(client, RUN, tmp_path / "target")


@pytest.mark.parametrize("below", [".", "deep"])
def test_a_file_in_the_place_of_the_target_folder_is_named(
    client: Client, folder: Path, below: str
) -> None:
    artifact_transfer.upload(client, RUN, folder / "big.bin")

    with pytest.raises(InvalidArgument, match=r"big\.bin.* is not a folder"):
        artifact_transfer.download(client, RUN, folder / "big.bin" / below)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    part = Part("a/big.bin", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", len(CONTENT))
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, most))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            receive(tmp_path, part, lambda offset: iter([CONTENT[offset:]]), patience=Patience())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))
        signal.signal(signal.SIGXFSZ, before)
    assert caught.value.filename == str(tmp_path / "a" / "big.bin")


def link(path: Path, other: Path) -> None:
    path.symlink_to(other)


def second_name(path: Path, other: Path) -> None:
    path.hardlink_to(other)


def pipe(path: Path, _other: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, _other: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("plant", [link, second_name, pipe, directory])
def test_what_lies_under_the_temporary_name_is_left_alone(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    target, precious = tmp_path / "target", tmp_path / "precious"
    target.mkdir()
    precious.write_text("precious")
    planted = target / f".studbook-{digest[7:]}.part"
    plant(planted, precious)
    part = Part("big.bin", digest, len(CONTENT))

    file = receive(target, part, lambda offset: iter([CONTENT[offset:]]), patience=Patience())

    assert file.read_bytes() == CONTENT
    assert precious.read_text() == "precious"
    assert {path.name for path in target.iterdir()} == {"big.bin", planted.name}


def test_the_digest_of_a_listing_is_that_of_what_sha256sum_prints() -> None:
    listing = [("b", "sha256:" + "0" * 64), ("a", "sha256:" + "f" * 64)]
    expected = f"{'f' * 64}  a\n{'0' * 64}  b\n"
    assert digest_of_listing(listing)[7:] == hashlib.sha256(expected.encode()).hexdigest()
