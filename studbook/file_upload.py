"""Sending the bytes of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.bulk_data import PIECE_BYTES, from_file
from studbook.exceptions import StudbookError, VerificationFailed
from studbook.file_digests import HashedFile, open_file, state_of
from studbook.patience import Patience
from studbook.tracking.v1 import artifact_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from studbook.bulk_data import BulkData
    from studbook.client import Client
    from studbook.tracking.v1.artifact_service_pb2 import UploadRequest

# A transfer slower than this is taken for one that hangs; it is then resumed.
_SLOWEST_BYTES_PER_S = 128 * 1024
_LEAST_DEADLINE_S = 120.0


def send_bytes(
    client: Client,
    run: str,
    file: HashedFile,
    *,
    patience: Patience | None = None,
    on_position: Callable[[int], None] | None = None,
) -> None:
    """Send one file's bytes, from where an earlier attempt ended.

    Args:
        client: Connection.
        run: Resource name of the run that the bytes are for.
        file: The file as it was when it was hashed.
        patience: How long to go on when the connection breaks.
        on_position: Told the number of bytes sent.

    Raises:
        StudbookError: VerificationFailed when the file is no longer what was hashed, or gone; else
            as in the contract.
    """
    patience = patience or Patience()
    furthest = offset = 0
    # One call is enough for most files; of large ones a part may be there from an earlier attempt.
    asks = file.state.size > PIECE_BYTES
    while True:
        try:
            if asks:
                query = artifact_service_pb2.QueryUploadRequest(run=run, digest=file.digest)
                progress = client.artifacts.QueryUpload(query)
                if progress.complete:
                    return
                offset = progress.committed_size
            asks = True
            if offset > furthest:
                furthest = offset
                patience.progressed()
            _Attempt(run, file, offset, on_position).send(client)
        except StudbookError as error:
            if error.reason != "DIGEST_MISMATCH":
                patience.after(error)
            elif not offset:
                raise _changed(file) from error
            # Else the fault may be in what was there from before, as when the server's machine
            # lost its power; the server has dropped it, so now everything is sent.
        else:
            return


class _Attempt:
    """One Upload call."""

    def __init__(
        self, run: str, file: HashedFile, offset: int, on_position: Callable[[int], None] | None
    ) -> None:
        self._header = artifact_service_pb2.UploadHeader(
            run=run, digest=file.digest, size_bytes=file.state.size, write_offset=offset
        )
        self._file = file
        self._on_position = on_position
        # grpc swallows what its request iterator raises, and reports a cancelled call instead.
        self._failure: Exception | None = None

    def send(self, client: Client) -> None:
        remaining = self._header.size_bytes - self._header.write_offset
        deadline = _LEAST_DEADLINE_S + remaining / _SLOWEST_BYTES_PER_S
        try:
            client.bulk.upload(self._messages(client.bulk.piece_bytes()), timeout=deadline)
        except StudbookError as error:
            if self._failure is not None:
                raise self._failure from error
            raise
        # The server may have had the bytes from elsewhere, and asked for none of ours.
        if self._failure is not None:
            raise self._failure

    def _messages(self, piece_bytes: int) -> Iterator[UploadRequest | BulkData]:
        try:
            with open_file(self._file.path) as descriptor:
                if state_of(descriptor) != self._file.state:
                    raise _changed(self._file)
                yield artifact_service_pb2.UploadRequest(header=self._header)
                yield from self._pieces(descriptor, piece_bytes)
        except FileNotFoundError as error:
            self._failure = _changed(self._file, "was removed")
            raise self._failure from error
        except Exception as error:
            self._failure = error
            raise

    def _pieces(self, descriptor: int, piece_bytes: int) -> Iterator[BulkData]:
        position = self._header.write_offset
        while position < self._header.size_bytes:
            wanted = min(piece_bytes, self._header.size_bytes - position)
            piece = from_file(descriptor, position, wanted)
            if len(piece.data) < wanted:
                raise _changed(self._file)
            position += wanted
            # Asked when all is read and the last piece not yet sent: the server would take what is
            # whole, because a call that is cancelled may look to it like one that is complete.
            if position == self._header.size_bytes and state_of(descriptor) != self._file.state:
                raise _changed(self._file)
            yield piece
            if self._on_position:
                self._on_position(position)


def _changed(file: HashedFile, how: str = "changed") -> VerificationFailed:
    return VerificationFailed(
        f"{file.path} {how} while it was being uploaded; nothing was recorded.",
        reason="FILE_CHANGED",
        metadata={"path": str(file.path)},
        next_step="Log the file when it is complete, or write to another file and rename it.",
    )
