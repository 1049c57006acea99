"""One upload that is under way, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from tracking_service.completion import completed

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.blob_store import BlobWriter, FolderBlobStore

# Enough that neither side waits for the other's every step; each is at most one message long.
_PIECES_AHEAD = 4


class Upload:
    """Writes the bytes of one upload in a thread of its own, in the order in which they come.

    As a context manager it leaves the upload as it is, after the steps handed over, and lets go of
    it; so when a call has ended, however it did, the next one can go on.

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
        self._opened = asyncio.Event()
        self._ended = asyncio.Event()
        self._open = partial(blobs.open_upload, scope, digest, size, offset)

    async def __aenter__(self) -> Self:
        """Wait until bytes can be written.

        Raises:
            StudbookError: As `FolderBlobStore.open_upload`.
        """
        threading.Thread(target=self._run, name="upload", daemon=True).start()
        try:
            await self._opened.wait()
            self._check()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes, soon.

        Raises:
            StudbookError: As `BlobWriter.write`, for bytes before these.
        """
        await self._room.acquire()
        self._check()
        self._steps.put(_Step(lambda writer: writer.write(data), self._room.release))

    async def commit(self) -> None:
        """Verify the bytes and make them a file.

        Until the context is left the file cannot be collected as one that nobody refers to.

        Raises:
            StudbookError: As `BlobWriter.write` and `BlobWriter.commit`.
        """
        done = asyncio.Event()
        self._steps.put(_Step(lambda writer: writer.commit(), done.set))
        await done.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _end(self) -> None:
        self._steps.put(None)
        await completed(self._ended.wait())

    def _run(self) -> None:
        try:
            with self._open() as writer:
                self._tell(self._opened.set)
                while (step := self._steps.get()) is not None:
                    self._take(step, writer)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self._failure = error
        self._tell(self._opened.set)
        self._tell(self._ended.set)

    def _take(self, step: _Step, writer: BlobWriter) -> None:
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
