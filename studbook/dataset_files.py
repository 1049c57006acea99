"""The canonical forms `file/v1` and `folder/v1`. See docs/reference/dataset-digests.md."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument, NotFound
from studbook.file_digests import digest_of_listing, hash_file, prefixed
from studbook.file_listing import files_below

if TYPE_CHECKING:
    from pathlib import Path

FILE = "file/v1"
FOLDER = "folder/v1"


def digest_bytes(data: bytes | bytearray | memoryview) -> tuple[str, int]:
    """Digest and size of bytes, as of a file that holds them."""
    view = memoryview(data).cast("B")
    return prefixed(hashlib.sha256(view).hexdigest()), view.nbytes


def digest_path(path: Path) -> tuple[str, str, int]:
    """Canonical form, digest and size of a file or folder.

    Raises:
        NotFound: When there is nothing at `path`.
        InvalidArgument: For an empty folder, and as for artifacts.
    """
    if not path.exists():
        message = f"{path} does not exist."
        raise NotFound(message, metadata={"resource": str(path)}, next_step="Check the path.")
    if not path.is_dir():
        file = hash_file(path)
        return FILE, file.digest, file.state.size
    prefix = "folder/"
    entries = []
    size = 0
    for file_path, name in files_below(path, prefix.rstrip("/")):
        file = hash_file(file_path)
        entries.append((name.removeprefix(prefix), file.digest))
        size += file.state.size
    if not entries:
        message = f"{path} is empty, so it is not a dataset."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return FOLDER, digest_of_listing(entries), size
