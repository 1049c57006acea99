"""Files, folders and patterns as datasets: what counts, and what is refused without waiting."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studbook import dataset_files, file_digests
from studbook.datasets import describe_dataset
from studbook.exceptions import Conflict, InvalidArgument, NotFound
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.run_records import DatasetUse


def describe(path: object) -> DatasetUse:
    return describe_dataset(path, name="data")


def digest(path: object) -> str:
    return describe(path).digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with five files, two of them hidden, and a link."""
    root = tmp_path / "data"
    for name in ("a.csv", "b.txt", "part/a.csv", "part/deep/c.csv", ".hidden.csv", ".d/e.csv"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (root / "link").symlink_to(root / "part")
    return root


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv"]),
        ("?.*", ["a.csv", "b.txt"]),
        ("[!a].*", ["b.txt"]),
        ("*", ["a.csv", "b.txt"]),
        ("**/*.csv", ["a.csv", "part/a.csv", "part/deep/c.csv"]),
        ("**", ["a.csv", "b.txt", "part/a.csv", "part/deep/c.csv"]),
        ("*/*.csv", ["part/a.csv"]),
        ("part/**/c.csv", ["part/deep/c.csv"]),
        ("part/**/**/*.csv", ["part/a.csv", "part/deep/c.csv"]),
        (".*.csv", [".hidden.csv"]),
        (".d/*", [".d/e.csv"]),
        ("link/*.csv", ["link/a.csv"]),
    ],
)
def test_a_pattern_is_a_folder_of_what_it_matches(
    folder: Path, tmp_path: Path, pattern: str, names: list[str]
) -> None:
    base = folder / os.path.dirname(pattern.partition("*")[0].partition("[")[0])  # noqa: PTH120
    copy = tmp_path / "copy"
    for name in names:
        file = copy / (folder / name).relative_to(base)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((folder / name).read_bytes())

    seen = describe(str(folder / pattern))

    assert seen.digest == digest(copy)
    assert (seen.format, seen.source) == ("folder/v1", str(folder / pattern))
    assert digest(folder / pattern) == seen.digest


def test_a_file_that_is_called_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("1")

    assert describe(str(tmp_path / "a[1].csv")).format == "file/v1"


def test_a_link_counts_as_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(folder)

    assert digest(tmp_path / "elsewhere") == digest(folder)
    (folder / "link").unlink()
    without = digest(folder)
    (folder / "more.csv").symlink_to(folder / "a.csv")
    assert digest(folder) != without


def pipe(path: Path) -> None:
    os.mkfifo(path)


def local_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def link_out(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


@pytest.mark.parametrize("make", [pipe, local_socket, link_out, link_to_nothing])
def test_what_is_no_file_is_refused(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "x")

    for data in (folder, str(folder / "*")):
        with pytest.raises(InvalidArgument, match="/x is"):
            digest(data)


def test_a_link_to_a_folder_above_is_refused(folder: Path) -> None:
    (folder / "part" / "up").symlink_to(folder)

    with pytest.raises(InvalidArgument, match="a folder that it lies in"):
        digest(folder)


@pytest.mark.parametrize("name", ["x", "x.dvc", "v1.metadata.json"])
def test_a_pipe_is_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    answers: list[BaseException] = []

    def ask() -> None:
        try:
            digest(tmp_path / name)
        except InvalidArgument as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)

    assert "neither a file nor a folder" in str(answers[0])


@pytest.mark.parametrize("name", [b"line\nbreak", b"back\\slash", b"\xff\xfe", b"bell\x07"])
def test_names_that_a_list_cannot_hold_are_refused(folder: Path, name: bytes) -> None:
    file = os.fsdecode(os.path.join(os.fsencode(folder), name))  # noqa: PTH118 - of bytes
    with open(file, "w") as stream:  # noqa: PTH123 - the name need not be text
        stream.write("1")

    for data in (folder, str(folder / "*")):
        with pytest.raises(
            InvalidArgument, match="UTF-8, and must not hold backslashes or control characters"
        ):
            digest(data)
    # Alone it has no name that counts.
    alone = describe(file)
    assert alone.digest == digest(b"1")
    alone.source.encode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("unreadable", ["part", "part/a.csv"])
def test_what_cannot_be_read_is_never_passed_over(unreadable: str) -> None:
    # The folders of pytest are closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "part").mkdir()
        (folder / "part" / "a.csv").write_text("1")
        (folder / "b.csv").write_text("2")
        (folder / unreadable).chmod(0)
        os.seteuid(65534)
        try:
            for data in (folder, str(folder / "**" / "*.csv"), str(folder / "part" / "*")):
                with pytest.raises(PermissionError, match="part"):
                    digest(data)
        finally:
            os.seteuid(0)


def test_nothing_to_match_is_told(folder: Path) -> None:
    for pattern in (folder / "*.parquet", folder / "nothing" / "*", folder / "a.csv" / "*"):
        with pytest.raises(NotFound, match=r"No file matches .*\*"):
            digest(str(pattern))


def append(file: Path) -> None:
    with file.open("a") as stream:
        stream.write("more")


def replace(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(file.read_bytes())
    other.replace(file)


def overwrite_and_set_the_time_back(file: Path) -> None:
    before = file.stat()
    with file.open("r+") as stream:
        stream.write("X")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [append, replace, overwrite_and_set_the_time_back])
@pytest.mark.parametrize("what", ["a.csv", ".", "*.csv"])
def test_a_file_that_changes_meanwhile_has_no_digest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], what: str
) -> None:
    honest = file_digests.hash_file

    def hash_then_change(path: Path, on_bytes: Callable[[int], None]) -> object:
        hashed = honest(path, on_bytes)
        if path.name == "a.csv":
            change(path)
        return hashed

    monkeypatch.setattr(dataset_files, "hash_file", hash_then_change)
    with pytest.raises(Conflict, match="changed while it was read"):
        digest(str(folder / what))


def add(folder: Path) -> None:
    (folder / "new.csv").write_text("new")


def remove(folder: Path) -> None:
    (folder / "b.csv").unlink()


def change_what_was_read(folder: Path) -> None:
    append(folder / "a.csv")


@pytest.mark.parametrize("change", [add, remove, change_what_was_read])
@pytest.mark.parametrize("what", [".", "*.csv"])
def test_files_that_were_never_there_together_have_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], what: str
) -> None:
    for name in ("a.csv", "b.csv", "z.csv"):
        (tmp_path / name).write_text(name)
    honest = file_digests.hash_file
    read = threading.Semaphore(0)

    def hash_then_change(path: Path, on_bytes: Callable[[int], None]) -> object:
        hashed = honest(path, on_bytes)
        if path.name == "z.csv":  # the last one; the others are read before it changes
            assert read.acquire(timeout=PATIENCE_S)
            assert read.acquire(timeout=PATIENCE_S)
            change(tmp_path)
        else:
            read.release()
        return hashed

    monkeypatch.setattr(dataset_files, "hash_file", hash_then_change)
    with pytest.raises(Conflict, match="changed while it was read"):
        digest(str(tmp_path / what))


def test_an_empty_path_is_not_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "part")

    with pytest.raises(InvalidArgument, match="is empty"):
        digest("")
    assert digest(".") == digest(folder / "part")


def test_paths_of_bytes_are_paths(folder: Path) -> None:
    class OfBytes:
        def __fspath__(self) -> bytes:
            return os.fsencode(folder / "a.csv")

    assert digest(OfBytes()) == digest(folder / "a.csv")


def test_source_and_role_are_what_the_contract_takes() -> None:
    seen = describe_dataset(b"", name="data", source="a\0b\ud800" + "c" * 3000)

    assert seen.source.startswith("a\N{REPLACEMENT CHARACTER}b?c")
    assert len(seen.source) == 2048
    with pytest.raises(InvalidArgument, match="is not a role"):
        describe_dataset(b"", name="data", role="train\0ing")
