"""Data that another system keeps is recorded by the version that it names."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

import studbook
from studbook.dataset_messages import dataset_message
from studbook.datasets import describe_dataset
from studbook.exceptions import InvalidArgument
from studbook.run_records import DatasetReference, DatasetUse, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def describe(data: Any) -> DatasetUse:
    return describe_dataset(data, name="data")


def referred(data: Any) -> tuple[str, str, str]:
    seen = describe(data)
    assert seen.format == "reference/v1"
    assert seen.reference is not None
    return seen.reference.system, seen.reference.uri, seen.reference.version


def test_a_reference_has_the_digest_of_what_it_says() -> None:
    one = describe(studbook.reference("lakefs", "lakefs://wine/main/red", COMMIT))
    again = describe(studbook.reference("lakefs", "lakefs://wine/main/red", COMMIT))
    other = describe(studbook.reference("lakefs", "lakefs://wine/main/red", COMMIT[::-1]))

    assert one.digest == again.digest != other.digest
    assert one.source == "lakefs://wine/main/red"
    assert decode(*encode(one)) == one


def test_credentials_are_no_part_of_it() -> None:
    plain = describe(studbook.reference("delta", "https://host/t?v=1", "3"))
    secret = describe(studbook.reference("delta", "https://ada:pw@host/t?v=1", "3"))

    assert secret == plain
    by_hand = DatasetReference("delta", "https://ada:pw@host/t?v=1", "3")
    assert describe(by_hand).digest == plain.digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"system": ""},
        {"system": "s" * 65},
        {"uri": "u" * 2049},
        {"uri": "a\nb"},
        {"version": ""},
        {"version": "v\0"},
        {"version": 3},
    ],
)
def test_malformed_references_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=f"the {next(iter(wrong))} of a reference"):
        studbook.reference(**{"system": "dvc", "uri": "u", "version": "v"} | wrong)


def test_a_file_of_dvc(tmp_path: Path) -> None:
    file = tmp_path / "wine.csv.dvc"
    file.write_text(
        "md5: 5d41402abc4b2a76b9719d911017c592\nouts:\n"
        "- md5: 22e3d2ca5ff41d0d9f3b22ef9cb4b3d5\n  size: 4711\n  hash: md5\n  path: wine.csv\n"
        "meta:\n  size: 1\n"
    )
    version = "22e3d2ca5ff41d0d9f3b22ef9cb4b3d5"

    assert referred(file) == ("dvc", str(tmp_path / "wine.csv"), version)
    assert describe(file).size_bytes == 4711


@pytest.mark.parametrize(
    "text",
    [
        b"outs:\n- md5: a\n  path: x\n- md5: b\n  path: y\n",
        b"outs:\n- path: x\n",
        b"deps:\n- md5: a\n",
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_a_file_of_dvc_that_names_no_single_version(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x.dvc").write_bytes(text)

    with pytest.raises(InvalidArgument, match="a dataset is one output"):
        describe(tmp_path / "x.dvc")


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    file = tmp_path / "wine.csv"
    oid = "sha256:" + COMMIT
    file.write_text(f"version https://git-lfs.github.com/spec/v1\noid {oid}\nsize 4711\n")

    assert referred(file) == ("git-lfs", str(file), oid)
    assert describe(file).size_bytes == 4711
    file.write_text(file.read_text() + "and more\n")
    assert describe(file).format == "file/v1"


def test_a_delta_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "table" / "_delta_log"
    log.mkdir(parents=True)
    with pytest.raises(InvalidArgument, match="no Delta table yet"):
        describe(log.parent)
    for name in ("09.json", "10.checkpoint.parquet", "11.json"):
        (log / name.zfill(20 + len(name) - 2)).write_text("{}")
    (log / "_last_checkpoint").write_text("{}")

    assert referred(log.parent) == ("delta", str(log.parent), "11")
    monkeypatch.chdir(tmp_path)
    assert referred("table") == ("delta", str(log.parent), "11")
    assert describe(str(log.parent / "**")).format == "folder/v1"


def iceberg(snapshot: Any, summary: Any = None) -> dict[str, Any]:
    return {
        "format-version": 2,
        "location": "s3://lake/wine",
        "current-snapshot-id": snapshot,
        "snapshots": [
            {"snapshot-id": 1, "summary": {"total-records": "7"}},
            {"snapshot-id": 2, "summary": summary},
        ],
    }


def test_an_iceberg_table(tmp_path: Path) -> None:
    metadata = tmp_path / "wine" / "metadata"
    metadata.mkdir(parents=True)
    (metadata / "v1.metadata.json").write_text(json.dumps(iceberg(1)))
    summary = {"total-records": "178", "total-files-size": "4711"}
    packed = gzip.compress(json.dumps(iceberg(2, summary)).encode())
    (metadata / "v10.gz.metadata.json").write_bytes(packed)

    seen = describe(metadata.parent)

    assert referred(metadata.parent) == ("iceberg", "s3://lake/wine", "2")
    assert (seen.row_count, seen.size_bytes) == (178, 4711)
    assert describe(metadata / "v1.metadata.json").row_count == 7


def test_an_iceberg_table_without_data(tmp_path: Path) -> None:
    file = tmp_path / "v1.metadata.json"
    for snapshot in (None, -1, [2]):
        file.write_text(json.dumps(iceberg(snapshot)))
        with pytest.raises(InvalidArgument, match="without a snapshot"):
            describe(file)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{}", "\x1f\x8b", '{"location": 1}'])
def test_a_file_that_is_only_called_so_is_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "v1.metadata.json"
    file.write_text(text, encoding="latin-1")

    assert describe(file).format == "file/v1"


def test_what_other_systems_say_of_sizes_is_taken_with_care(tmp_path: Path) -> None:
    large = "9" * 30
    (tmp_path / "x.dvc").write_text(f"outs:\n- md5: a\n  size: {large}\n  path: x\n")
    oid = f"oid sha256:{COMMIT}"
    pointer = f"version https://git-lfs.github.com/spec/v1\n{oid}\nsize {large}\n"
    (tmp_path / "y").write_text(pointer)
    paths = [tmp_path / "x.dvc", tmp_path / "y"]
    for number, summary in enumerate(({"total-records": large}, {"total-records": -5}, "none", 3)):
        paths.append(tmp_path / f"v{number}.metadata.json")
        paths[-1].write_text(json.dumps(iceberg(2, summary)))

    for path in paths:
        seen = describe(path)
        assert (seen.row_count, seen.size_bytes) == (-1, 0)
        dataset_message(seen)


def test_a_commit_of_lakefs() -> None:
    uri = f"lakefs://wine/{COMMIT}/red.csv"

    assert referred(uri) == ("lakefs", uri, COMMIT)
    with pytest.raises(InvalidArgument, match='"main" is no lakeFS commit'):
        describe("lakefs://wine/main/red.csv")


@pytest.mark.parametrize("uri", ["s3://bucket/wine.csv", "https://host/wine.csv", "file:///x"])
def test_other_uris_are_not_read(uri: str) -> None:
    with pytest.raises(InvalidArgument, match=r"studbook\.reference"):
        describe(uri)
