"""A version's files in a directory: all of them, verified, or none.

The files are gathered in a folder beside the directory, which then takes the directory's name in
one rename. A marker file in it says which version it is, so that a second fetch can tell.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.exceptions import AlreadyExists, InvalidArgument, VerificationFailed
from studbook.file_digests import digest_of_listing, hash_file, hex_of
from studbook.file_download import Part, receive
from studbook.parallel_transfers import transfer_all
from studbook.patience import Patience
from studbook.registry.v1 import serving_service_pb2
from studbook.safe_paths import check_artifact_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from studbook.client import Client
    from studbook.parallel_transfers import Progress
    from studbook.registry.v1 import version_pb2

MARKER = ".studbook-version.json"


@dataclass(frozen=True)
class FetchedModel:
    """A version whose files are here and verified.

    Attributes:
        version: The version as the registry describes it.
        path: The directory.
        files: The files in it, sorted by path.
        reported: Whether the server was told that it was loaded here.
    """

    version: version_pb2.Version
    path: Path
    files: tuple[Path, ...]
    reported: bool = False


def fetch_version(
    client: Client,
    version: version_pb2.Version,
    directory: Path | str,
    *,
    progress: Progress | None = None,
) -> FetchedModel:
    """Bring a version's files into a directory; see `studbook.model_registry.fetch`."""
    target = Path(directory).resolve()
    _check_listing(version)
    _check_target(target)
    if _is_complete(target, version):
        return _fetched(target, version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _staging_folder(target, version) as staging:
        # Whoever held the folder before may have finished in the meantime.
        if not _is_complete(target, version):
            _receive_all(client, version, staging, progress)
            _write_marker(staging, version)
            _check_target(target)
            _install(staging, target)
    return _fetched(target, version)


def verify_directory(directory: Path, version: version_pb2.Version) -> None:
    """Read every file of a version in a directory and check its digest.

    Raises:
        VerificationFailed: When one is missing or differs.
    """
    for file in version.files:
        path = directory.joinpath(*check_artifact_path(file.path))
        if path.is_symlink() or not path.is_file():
            raise _differs(path, "it is missing", file.digest)
        actual = hash_file(path).digest
        if actual != file.digest:
            raise _differs(path, f"it has the digest {actual}", file.digest)


def _check_listing(version: version_pb2.Version) -> None:
    """Refuse a version whose list of files is not the one its digest was made of."""
    for file in version.files:
        check_artifact_path(file.path)
        if file.path == MARKER:
            message = f"{version.name} has a file named {MARKER}, which is Studbook's own."
            raise InvalidArgument(message, reason="ARTIFACT_PATH_INVALID")
    actual = digest_of_listing((file.path, file.digest) for file in version.files)
    if actual != version.digest:
        raise VerificationFailed(
            f"The files of {version.name} add up to {actual}, not to its digest {version.digest}.",
            reason="DIGEST_MISMATCH",
            metadata={"declared": version.digest, "actual": actual},
        )


def _check_target(target: Path) -> None:
    """Refuse to replace what no fetch has put there."""
    if not target.exists():
        return
    if not target.is_dir() or (any(target.iterdir()) and not (target / MARKER).is_file()):
        raise AlreadyExists(
            f"{target} exists and is not a fetched model, so it is not replaced.",
            metadata={"resource": str(target)},
            next_step="Choose a directory that is empty or does not exist.",
        )


def _is_complete(target: Path, version: version_pb2.Version) -> bool:
    try:
        marker = json.loads((target / MARKER).read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(marker, dict) or marker.get("digest") != version.digest:
        return False
    if marker.get("version") != version.name:
        return False
    try:
        verify_directory(target, version)
    except VerificationFailed:
        return False  # it is fetched again; nobody gets to use what is there
    return True


@contextmanager
def _staging_folder(target: Path, version: version_pb2.Version) -> Iterator[Path]:
    """The folder that the files are gathered in; only one process at a time has it."""
    staging = target.parent / f".{target.name[:100]}.studbook-{hex_of(version.digest)[:32]}"
    while True:
        staging.mkdir(exist_ok=True)
        descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_same(descriptor, staging):
                yield staging
                # Still there when it was not needed after all.
                if _is_same(descriptor, staging) and (target / MARKER).is_file():
                    shutil.rmtree(staging)
                return
        finally:
            os.close(descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    """False when the folder was renamed away while its lock was waited for."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _receive_all(
    client: Client, version: version_pb2.Version, staging: Path, progress: Progress | None
) -> None:
    transfer_all(
        version.files,
        lambda file, moved: _receive_one(client, version, staging, file, moved),
        size_of=lambda file: file.size_bytes,
        progress=progress,
    )


def _receive_one(
    client: Client,
    version: version_pb2.Version,
    staging: Path,
    file: version_pb2.ModelFile,
    on_position: Callable[[int], None],
) -> None:
    if not _is_received(staging, file):
        receive(
            staging,
            Part(file.path, file.digest, file.size_bytes),
            partial(_bytes_of, client, version.name, file.path),
            patience=Patience(),
            on_position=on_position,
        )


def _is_received(staging: Path, file: version_pb2.ModelFile) -> bool:
    path = staging.joinpath(*check_artifact_path(file.path))
    if path.is_symlink() or not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    return hash_file(path).digest == file.digest


def _bytes_of(client: Client, version: str, path: str, offset: int) -> Iterator[bytes | memoryview]:
    request = serving_service_pb2.FetchArtifactsRequest(
        version=version, paths=[path], read_offset=offset
    )
    for message in client.bulk.fetch(request):
        yield message.data


def _write_marker(staging: Path, version: version_pb2.Version) -> None:
    content = {
        "version": version.name,
        "digest": version.digest,
        "files": [
            {"path": file.path, "digest": file.digest, "size_bytes": file.size_bytes}
            for file in version.files
        ],
    }
    with (staging / MARKER).open("w", encoding="utf-8") as marker:
        json.dump(content, marker, indent=2)
        marker.write("\n")
        marker.flush()
        os.fsync(marker.fileno())


def _install(staging: Path, target: Path) -> None:
    if target.exists() and any(target.iterdir()):
        aside = target.parent / f".{target.name[:100]}.studbook-old-{secrets.token_hex(8)}"
        target.rename(aside)
        try:
            staging.rename(target)
        except OSError:
            aside.rename(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        staging.rename(target)
    parent = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _fetched(target: Path, version: version_pb2.Version) -> FetchedModel:
    files = tuple(target.joinpath(*file.path.split("/")) for file in version.files)
    return FetchedModel(version, target, files)


def _differs(path: Path, how: str, expected: str) -> VerificationFailed:
    return VerificationFailed(
        f"{path} is not what was registered: {how}; expected was {expected}.",
        reason="DIGEST_MISMATCH",
        metadata={"path": str(path), "declared": expected},
    )
