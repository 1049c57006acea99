"""Moving a run's files to the server and back: by digest, resumable, in constant memory."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studbook.exceptions import FailedPrecondition, NotFound
from studbook.file_digests import HashedFile, hash_file
from studbook.file_download import Part, receive
from studbook.file_listing import files_below, given_path
from studbook.file_upload import send_bytes
from studbook.parallel_transfers import transfer_all
from studbook.patience import Patience
from studbook.tracking.v1 import artifact_pb2, artifact_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studbook.client import Client
    from studbook.parallel_transfers import Progress

_Item = TypeVar("_Item")
_MOST_PER_CALL = 1000


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
    found = files_below(given_path(path), name)
    hashed = transfer_all(found, lambda file, _moved: hash_file(file[0]), size_of=lambda _file: 0)
    files = [
        OutgoingFile(artifact_path, file)
        for (_, artifact_path), file in zip(found, hashed, strict=True)
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
    _send_missing(client, run, files, progress)
    try:
        return _record(client, run, files, overwrite=overwrite)
    except FailedPrecondition as error:
        if error.reason != "BLOB_MISSING":
            raise
    # Bytes that nobody seemed to want any more were collected between the two calls, which took
    # longer than the server's grace period. Now they are missing for sure.
    _send_missing(client, run, files, progress)
    return _record(client, run, files, overwrite=overwrite)


def _send_missing(
    client: Client, run: str, files: Sequence[OutgoingFile], progress: Progress | None
) -> None:
    by_digest = {outgoing.file.digest: outgoing.file for outgoing in files}
    missing = find_missing(client, run, list(by_digest))
    transfer_all(
        [by_digest[digest] for digest in missing],
        lambda file, moved: send_bytes(client, run, file, on_position=moved),
        size_of=lambda file: file.state.size,
        progress=progress,
    )


def _record(
    client: Client, run: str, files: Sequence[OutgoingFile], *, overwrite: bool
) -> list[artifact_pb2.Artifact]:
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
    *paths: str,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch artifacts of a run into a folder, under their own paths.

    Each file appears under its name only when all its bytes have come and have the digest; a
    broken transfer resumes, also when the program is started again.

    Args:
        client: Connection.
        run: Resource name of the run.
        folder: Where to put the files; made when missing.
        *paths: Files and folders of the run; none: everything.
        progress: Told how far the fetching is.

    Returns:
        The files, in order of path.

    Raises:
        StudbookError: NotFound, before anything is fetched, when nothing has one of the paths;
            VerificationFailed for wrong bytes; else as in the contract.
    """
    wanted = _chosen(list(list_artifacts(client, run)), run, paths)
    parts = [Part(artifact.path, artifact.digest, artifact.size_bytes) for artifact in wanted]
    return transfer_all(
        parts,
        lambda part, moved: receive(
            Path(folder),
            part,
            partial(_bytes_of, client, run, part.path),
            patience=Patience(),
            on_position=moved,
        ),
        size_of=lambda part: part.size,
        progress=progress,
    )


def _chosen(
    artifacts: Sequence[artifact_pb2.Artifact], run: str, paths: Sequence[str]
) -> Sequence[artifact_pb2.Artifact]:
    """The files that are named, or lie in folders that are; all when none is named."""
    if not artifacts:
        message = f"{run} has no artifacts."
        raise NotFound(message, reason="NOT_FOUND", metadata={"resource": run})
    chosen = set()
    for path in paths:
        name = path.strip("/")
        found = {a.path for a in artifacts if a.path == name or a.path.startswith(f"{name}/")}
        if not found:
            message = f"{run} has no artifact {path}."
            raise NotFound(
                message,
                reason="NOT_FOUND",
                metadata={"resource": run},
                next_step="`studbook run ls-artifacts` lists those that it has.",
            )
        chosen |= found
    return [artifact for artifact in artifacts if not paths or artifact.path in chosen]


def _bytes_of(client: Client, run: str, path: str, offset: int) -> Iterator[bytes | memoryview]:
    request = artifact_service_pb2.DownloadRequest(run=run, path=path, read_offset=offset)
    for message in client.bulk.download(request):
        yield message.data
