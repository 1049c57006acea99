"""Verifying the files of new versions: at once when they are small, in the background otherwise."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING

import structlog

from registry_service.verification import conclude, find_fault
from service_chassis.errors import StudbookError

if TYPE_CHECKING:
    from registry_service.records import Version
    from registry_service.registry_database import RegistryDatabase
    from service_chassis.blob_store import FolderBlobStore

_log = structlog.get_logger("studbook.file_verifier")

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_SWEEP_PAUSE_S = 60.0
# How long a registrar waits for the verification of small files.
_LONGEST_WAIT_S = 15.0


class FileVerifier:
    """Makes pending versions READY or FAILED.

    Args:
        database: The registry's database.
        blobs: Where the files are. Only read.
        at_once_bytes: Size up to which a version is verified while its registrar waits.
    """

    def __init__(
        self, database: RegistryDatabase, blobs: FolderBlobStore, at_once_bytes: int
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._at_once_bytes = at_once_bytes
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Large versions one at a time: hashing is bound by the disk or a core, not by waiting.
        self._turn = asyncio.Semaphore(1)

    async def verify_new(self, version: Version) -> Version:
        """Verify a version that was just registered, or arrange for it.

        Returns:
            The version as it is now, PENDING when it is still to be verified.
        """
        task = self._verify_later(version)
        if version.size_bytes > self._at_once_bytes:
            return version
        # Neither the end of the wait nor the caller's going away ends the verification.
        await asyncio.wait({task}, timeout=_LONGEST_WAIT_S)
        return await self._find(version.name) or version

    async def sweep(self) -> None:
        """Take up what is pending: left over from the last run of this or another process."""
        for name in await self._database.read(lambda store: store.versions.pending()):
            version = await self._find(name)
            if version is not None:
                self._verify_later(version)

    async def run(self) -> None:
        """Sweep now and from time to time, for ever."""
        while True:
            try:
                await self.sweep()
            except StudbookError as error:
                _log.warning("sweep put off", problem=error.message)
            await asyncio.sleep(_SWEEP_PAUSE_S)

    async def close(self) -> None:
        """Stop; what is pending is taken up again at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _verify_later(self, version: Version) -> asyncio.Task[None]:
        task = self._tasks.get(version.name)
        if task is None:
            task = asyncio.create_task(self._until_done(version), name=f"verify {version.name}")
            self._tasks[version.name] = task
            task.add_done_callback(lambda _done: self._tasks.pop(version.name, None))
        return task

    async def _until_done(self, version: Version) -> None:
        small = version.size_bytes <= self._at_once_bytes
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with nullcontext() if small else self._turn:
                    await self._verify(version)
            except StudbookError as error:
                _log.warning("verification put off", version=version.name, problem=error.message)
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _verify(self, version: Version) -> None:
        fault = await asyncio.to_thread(find_fault, version.files, self._stored_digest)
        if fault:
            _log.error("verification failed", version=version.name, fault=fault)
        await self._database.write(lambda store: conclude(store, version.name, fault))

    async def _find(self, name: str) -> Version | None:
        return await self._database.read(lambda store: store.versions.find(name))

    def _stored_digest(self, digest: str) -> str | None:
        if self._blobs.size(digest) is None:
            return None
        return self._blobs.recompute(digest)
