"""Moving a run's files to the server and back: by digest, resumable, in constant memory."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from studbook.exceptions import NotFound
from studbook.file_digests import HashedFile, hash_file
from studbook.file_download import Part, receive
from studbook.file_listing import files_below
from studbook.file_upload import send_bytes
from studbook.patience import Patience
from studbook.tracking.v1 import artifact_pb2, artifact_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studbook.client import Client

_Item = TypeVar("_Item")
_MOST_PER_CALL = 1000


class Progress(Protocol):
    """Told how far a transfer is."""

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """`done_bytes` of `total_bytes` are there."""


@dataclass(frozen=True)
class OutgoingFile:
    """A file to be sent.

    Attributes:
        path: Artifact path that it gets below the run.
        file: The file, with the digest of its bytes.
        media_type: Media type; empty: guessed from the path.
    """

    path: str
    file: HashedFile
    media_type: str = ""


def upload(
    client: Client,
    run: str,
    path: Path | str,
    name: str | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[artifact_pb2.Artifact]:
    """Store a file, or a folder with everything below it, as artifacts of a run.

    Bytes that the workspace has already are not sent again; a broken transfer resumes.

    Args:
        client: Connection.
        run: Resource name of the run.
        path: File or folder.
        name: Artifact path; default: the file's or folder's own name.
        overwrite: Let paths that exist point to the new bytes.
        progress: Told how far the sending is.

    Returns:
        The artifacts as recorded.

    Raises:
        StudbookError: As in the contract; VerificationFailed when a file changes meanwhile.
    """
    files = [
        OutgoingFile(artifact_path, hash_file(file))
        for file, artifact_path in files_below(Path(path), name)
    ]
    return send(client, run, files, overwrite=overwrite, progress=progress)


def send(
    client: Client,
    run: str,
    files: Sequence[OutgoingFile],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[artifact_pb2.Artifact]:
    """Store files whose digests are known as artifacts of a run; see `upload`."""
    by_digest = {outgoing.file.digest: outgoing.file for outgoing in files}
    missing = find_missing(client, run, list(by_digest))
    total = sum(by_digest[digest].state.size for digest in missing)
    done = 0
    for digest in missing:

        def moved(of_this_file: int, before: int = done) -> None:
            if progress:
                progress(before + of_this_file, total)

        send_bytes(client, run, by_digest[digest], on_position=moved)
        done += by_digest[digest].state.size
    recorded: list[artifact_pb2.Artifact] = []
    for batch in _batches(files):
        request = artifact_service_pb2.CreateArtifactsRequest(
            run=run,
            artifacts=[
                artifact_pb2.Artifact(
                    path=outgoing.path,
                    digest=outgoing.file.digest,
                    media_type=outgoing.media_type or media_type_of(outgoing.path),
                )
                for outgoing in batch
            ],
            allow_overwrite=overwrite,
        )
        recorded.extend(client.artifacts.CreateArtifacts(request).artifacts)
    return recorded


def media_type_of(path: str) -> str:
    """Media type by the path's ending; `application/octet-stream` when that says nothing."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def find_missing(client: Client, run: str, digests: Sequence[str]) -> list[str]:
    """Those of the digests whose bytes the run's workspace does not have."""
    missing: list[str] = []
    for batch in _batches(digests):
        request = artifact_service_pb2.FindMissingRequest(run=run, digests=batch)
        missing.extend(client.artifacts.FindMissing(request).missing_digests)
    return missing


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _MOST_PER_CALL):
        yield items[start : start + _MOST_PER_CALL]


def list_artifacts(client: Client, run: str) -> Iterator[artifact_pb2.Artifact]:
    """All files of a run, sorted by path."""
    token = ""
    while True:
        request = artifact_service_pb2.ListArtifactsRequest(
            parent=run, page_size=1000, page_token=token
        )
        page = client.artifacts.ListArtifacts(request)
        yield from page.artifacts
        token = page.next_page_token
        if not token:
            return


def download(
    client: Client,
    run: str,
    folder: Path | str,
    path: str = "",
    *,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch artifacts of a run into a folder, under their own paths.

    Each file appears under its name only when all its bytes have come and have the digest; a
    broken transfer resumes, also when the program is started again.

    Args:
        client: Connection.
        run: Resource name of the run.
        folder: Where to put the files; made when missing.
        path: One file, or a folder of the run; default: everything.
        progress: Told how far the fetching is.

    Returns:
        The files, in order of path.

    Raises:
        StudbookError: NotFound when nothing has that path; VerificationFailed for wrong bytes;
            else as in the contract.
    """
    prefix = path.strip("/")
    wanted = [
        artifact
        for artifact in list_artifacts(client, run)
        if not prefix or artifact.path == prefix or artifact.path.startswith(f"{prefix}/")
    ]
    if not wanted:
        message = f"{run} has no artifact {path}." if path else f"{run} has no artifacts."
        raise NotFound(message, reason="NOT_FOUND", metadata={"resource": run})
    total = sum(artifact.size_bytes for artifact in wanted)
    written, done = [], 0
    for artifact in wanted:

        def moved(of_this_file: int, before: int = done) -> None:
            if progress:
                progress(before + of_this_file, total)

        part = Part(artifact.path, artifact.digest, artifact.size_bytes)
        written.append(
            receive(
                Path(folder),
                part,
                partial(_bytes_of, client, run, artifact.path),
                patience=Patience(),
                on_position=moved,
            )
        )
        done += artifact.size_bytes
    return written


def _bytes_of(client: Client, run: str, path: str, offset: int) -> Iterator[bytes | memoryview]:
    request = artifact_service_pb2.DownloadRequest(run=run, path=path, read_offset=offset)
    for message in client.bulk.download(request):
        yield message.data
