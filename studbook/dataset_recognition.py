"""Paths at which another system keeps its own record of a state of data.

What is recognised is recorded as a reference, because the bytes that lie there are not the data:
a `.dvc` file and a Git LFS pointer stand for it, the folder of a Delta or Iceberg table also holds
rows that were deleted. A pattern such as `table/**` stands for the bytes of any folder.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studbook.dataset_reference import reference
from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.run_records import DatasetReference

# Files that describe a table or a file are smaller; what is larger is data.
_LARGEST_DVC = 1024 * 1024
_LARGEST_POINTER = 1024
_LARGEST_METADATA = 256 * 1024 * 1024

_LAKEFS = re.compile(r"lakefs://(?P<repository>[^/]+)/(?P<ref>[^/]+)(?:/.*)?")
_COMMIT = re.compile(r"[0-9a-f]{64}")
_DVC_LINE = re.compile(
    r"(?P<dash>-)?\s*(?P<key>md5|hash|size|path|etag|version_id):\s*(?P<value>.+)"
)
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"(?:ext-[^\n]*\n)*oid (?P<oid>sha256:[0-9a-f]{64})\nsize (?P<size>[0-9]+)\n?"
)
_DELTA_VERSION = re.compile(r"(?P<number>[0-9]{20})(?:\.checkpoint(?:\..+)?\.parquet|\.json)")
_ICEBERG_FILE = re.compile(r"v?(?P<number>[0-9]+)(?:-[^/]*)?(?:\.gz)?\.metadata\.json(?:\.gz)?")


@dataclass(frozen=True)
class Recognised:
    """A reference, and what the other system says of the data."""

    reference: DatasetReference
    row_count: int = -1
    size_bytes: int = 0


def recognise_path(path: Path) -> Recognised | None:
    """The reference that a path stands for; None when it is plain data.

    Raises:
        InvalidArgument: When it belongs to another system but names no state of the data.
        OSError: When it cannot be read.
    """
    if path.is_dir():
        if (path / "_delta_log").is_dir():
            return _delta(path)
        return _iceberg_folder(path) if (path / "metadata").is_dir() else None
    if not path.is_file():  # reading a pipe would block
        return None
    if path.suffix == ".dvc" and path.stat().st_size <= _LARGEST_DVC:
        return _dvc(path)
    if _ICEBERG_FILE.fullmatch(path.name):
        return _iceberg_file(path)
    return _git_lfs(path) if 0 < path.stat().st_size <= _LARGEST_POINTER else None


def recognise_uri(uri: str) -> Recognised:
    """The reference that a URI stands for: `lakefs://repository/commit/path`.

    Raises:
        InvalidArgument: When it is of another kind, or when it names a branch.
    """
    found = _LAKEFS.fullmatch(uri)
    if found is None:
        message = (
            "Data behind a URI is not read. Name its state with "
            "`studbook.reference(system, uri, version)`, or give a path."
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
    if not _COMMIT.fullmatch(found["ref"]):
        message = (
            f'"{found["ref"][:80]}" is no lakeFS commit but a name that may lead elsewhere '
            "tomorrow. Write the commit's 64 hexadecimal digits in its place, or use "
            '`studbook.reference("lakefs", uri, commit)`.'
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return Recognised(reference("lakefs", uri, found["ref"]))


def _dvc(path: Path) -> Recognised:
    outs = _dvc_outs(path.read_text(encoding="utf-8", errors="replace"))
    if len(outs) != 1 or "md5" not in outs[0]:
        message = (
            f"{path} names {len(outs)} outputs with a version; a dataset is one output with its "
            'md5. Name it with `studbook.reference("dvc", path, md5)`.'
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
    out = outs[0]
    target = path.parent / out.get("path", path.stem)
    return Recognised(
        reference("dvc", str(target), out["md5"]), size_bytes=_count(out.get("size"), 0)
    )


def _dvc_outs(text: str) -> list[dict[str, str]]:
    """The entries below `outs:` of a file as DVC writes it, which is a small part of YAML."""
    outs: list[dict[str, str]] = []
    inside = False
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith(("-", "#")):
            inside = line.rstrip() == "outs:"
            continue
        found = _DVC_LINE.match(line.strip()) if inside else None
        if found is None:
            continue
        if found["dash"] or not outs:
            outs.append({})
        outs[-1].setdefault(found["key"], found["value"].strip().strip("'\""))
    return outs


def _git_lfs(path: Path) -> Recognised | None:
    found = _POINTER.fullmatch(path.read_bytes())
    if found is None:
        return None
    return Recognised(
        reference("git-lfs", str(path), found["oid"].decode()),
        size_bytes=_count(found["size"].decode(), 0),
    )


def _delta(path: Path) -> Recognised:
    names = (entry.name for entry in (path / "_delta_log").iterdir())
    versions = [int(found["number"]) for name in names if (found := _DELTA_VERSION.fullmatch(name))]
    if not versions:
        message = f"{path} has a _delta_log without a version, so it is no Delta table yet."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    # A version says something only of one table; other folders may have the same relative path.
    return Recognised(reference("delta", str(path.absolute()), str(max(versions))))


def _iceberg_folder(path: Path) -> Recognised | None:
    files = {
        int(found["number"]): entry
        for entry in sorted((path / "metadata").iterdir())
        if (found := _ICEBERG_FILE.fullmatch(entry.name)) and entry.is_file()
    }
    if not files:
        return None
    return _iceberg_file(files[max(files)])


def _iceberg_file(path: Path) -> Recognised | None:
    if path.stat().st_size > _LARGEST_METADATA:
        return None
    metadata = _json(path)
    if metadata is None or "location" not in metadata or "format-version" not in metadata:
        return None
    current = metadata.get("current-snapshot-id")
    if not isinstance(current, int) or current == -1:
        message = f"{path} is of an Iceberg table without a snapshot, which has no data yet."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    summary = _summary(metadata.get("snapshots"), current)
    return Recognised(
        reference("iceberg", str(metadata["location"]), str(current)),
        row_count=_count(summary.get("total-records"), -1),
        size_bytes=_count(summary.get("total-files-size"), 0),
    )


def _summary(snapshots: Any, current: int) -> dict[str, Any]:
    """What the table says of one of its snapshots."""
    for snapshot in snapshots if isinstance(snapshots, list) else ():
        if isinstance(snapshot, dict) and snapshot.get("snapshot-id") == current:
            summary = snapshot.get("summary")
            return summary if isinstance(summary, dict) else {}
    return {}


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(_content(path))
    except (ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error):
        return None
    return found if isinstance(found, dict) else None


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked; cut off where they are more than such a file has."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        return file.read(_LARGEST_METADATA)


def _count(text: Any, otherwise: int) -> int:
    """A number as it stands in a file of another system; what is no sensible one is not taken."""
    digits = str(text)
    return int(digits) if re.fullmatch("[0-9]{1,18}", digits) else otherwise
