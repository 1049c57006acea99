"""One upload that is under way, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.blob_store import BlobWriter, FolderBlobStore

# Enough that neither side waits for the other's every step; each is at most one message long.
_PIECES_AHEAD = 4


class Upload:
    """Writes the bytes of one upload in a thread of its own, in the order in which they come.

    One thread, because a step goes on when the call it belongs to is cancelled, and the upload
    may be suspended only after it. Handing a piece over costs more than writing a small one, so
    the event loop waits for the thread only when it is several pieces behind.

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
        self._loop = asyncio.get_running_loop()
        self._steps: SimpleQueue[_Step | None] = SimpleQueue()
        self._room = asyncio.Semaphore(_PIECES_AHEAD)
        self._failure: BaseException | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._open = partial(blobs.open_upload, scope, digest, size, offset)
        threading.Thread(target=self._run, name="upload", daemon=True).start()

    async def opened(self) -> None:
        """Wait until bytes can be written.

        Raises:
            StudbookError: As `FolderBlobStore.open_upload`.
        """
        await self._opened

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes, soon.

        Raises:
            StudbookError: As `BlobWriter.write`, for bytes before these.
        """
        await self._room.acquire()
        if self._failure is not None:
            raise self._failure
        self._steps.put(_Step(lambda writer: writer.write(data), self._room.release))

    async def commit(self) -> None:
        """Verify the bytes and make them a file.

        Until `close` the file cannot be collected as one that nobody refers to.

        Raises:
            StudbookError: As `BlobWriter.write` and `BlobWriter.commit`.
        """
        done = asyncio.Event()
        self._steps.put(_Step(lambda writer: writer.commit(), done.set))
        await done.wait()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Leave the upload as it is, after the steps handed over; does not wait."""
        self._steps.put(None)

    def _run(self) -> None:
        try:
            writer = self._open()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self._tell(partial(_fail, self._opened, error))
            return
        self._tell(partial(_succeed, self._opened))
        with writer:
            while (step := self._steps.get()) is not None:
                try:
                    if self._failure is None:
                        step.work(writer)
                except BaseException as error:  # noqa: BLE001 - as above
                    self._failure = error
                self._tell(step.done)

    def _tell(self, news: Callable[[], object]) -> None:
        # Without an event loop there is nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(news)


@dataclass(frozen=True)
class _Step:
    """Something to be done in the thread, and what then happens in the event loop."""

    work: Callable[[BlobWriter], object]
    done: Callable[[], object]


def _succeed(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _fail(waiting: asyncio.Future[None], error: BaseException) -> None:
    if not waiting.done():
        waiting.set_exception(error)
