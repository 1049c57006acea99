"""One upload that is under way, off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from service_chassis.blob_store import BlobWriter, FolderBlobStore


class Upload:
    """Writes the bytes of one upload in a thread of its own, one step after another.

    One thread, because a step goes on when the call it belongs to is cancelled, and the upload
    may be suspended only after it. One piece of data is written while the next is received.

    Args:
        blobs: Where to.
        scope: Who may go on with the upload when it is interrupted.
        digest: Digest that the whole file is to have.
        size: Size of the whole file.
        offset: Where the bytes to come begin.
    """

    def __init__(
        self, blobs: FolderBlobStore, scope: str, digest: str, *, size: int, offset: int
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._writer = self._thread.submit(blobs.open_upload, scope, digest, size, offset)
        self._last_step: Future[Any] = self._writer

    async def opened(self) -> None:
        """Wait until bytes can be written.

        Raises:
            StudbookError: As `FolderBlobStore.open_upload`.
        """
        await asyncio.wrap_future(self._writer)

    async def write(self, data: bytes) -> None:
        """Append bytes, once those before are written.

        Raises:
            StudbookError: As `BlobWriter.write`, for these bytes or those before.
        """
        await asyncio.wrap_future(self._last_step)
        self._submit(lambda writer: writer.write(data))

    async def commit(self) -> None:
        """Verify the bytes and make them a file.

        Raises:
            StudbookError: As `BlobWriter.write` and `BlobWriter.commit`.
        """
        await asyncio.wrap_future(self._last_step)
        self._submit(lambda writer: writer.commit())
        await asyncio.wrap_future(self._last_step)

    def close(self) -> None:
        """Leave the upload as it is, after the step that is running; does not wait."""
        self._thread.submit(self._suspend)
        self._thread.shutdown(wait=False)

    def _submit(self, step: Callable[[BlobWriter], object]) -> None:
        self._last_step = self._thread.submit(lambda: step(self._writer.result()))

    def _suspend(self) -> None:
        if not self._writer.cancelled() and self._writer.exception() is None:
            self._writer.result().suspend()
