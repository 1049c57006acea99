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
        task = self.begin(version)
        if not self._is_small(version):
            return version
        # Neither the end of the wait nor the caller's going away ends the verification.
        await asyncio.wait({task}, timeout=_LONGEST_WAIT_S)
        return await self._find(version.name) or version

    def begin(self, version: Version) -> asyncio.Task[None]:
        """Verify a version in the background, until that succeeds or the service ends."""
        task = self._tasks.get(version.name)
        if task is None:
            task = asyncio.create_task(self._until_done(version), name=f"verify {version.name}")
            self._tasks[version.name] = task
            task.add_done_callback(lambda _done: self._tasks.pop(version.name, None))
        return task

    async def catch_up(self) -> None:
        """Take up what was pending when the service last ended; small versions at once."""
        small = await self._sweep()
        if small:
            await asyncio.wait(small, timeout=_LONGEST_WAIT_S)

    async def run(self) -> None:
        """Take up, from time to time, what other processes left pending."""
        while True:
            await asyncio.sleep(_SWEEP_PAUSE_S)
            try:
                await self._sweep()
            except StudbookError as error:
                _log.warning("sweep put off", problem=error.message)

    async def close(self) -> None:
        """Stop; what is pending is taken up again at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self) -> set[asyncio.Task[None]]:
        """Begin with everything that is pending; returns the tasks that will not take long."""
        small = set()
        for name in await self._database.read(lambda store: store.versions.pending()):
            version = await self._find(name)
            if version is None:
                continue
            task = self.begin(version)
            if self._is_small(version):
                small.add(task)
        return small

    async def _until_done(self, version: Version) -> None:
        turn = nullcontext() if self._is_small(version) else self._turn
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with turn:
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

    def _is_small(self, version: Version) -> bool:
        return version.size_bytes <= self._at_once_bytes

    async def _find(self, name: str) -> Version | None:
        return await self._database.read(lambda store: store.versions.find(name))

    def _stored_digest(self, digest: str) -> str | None:
        if self._blobs.size(digest) is None:
            return None
        return self._blobs.recompute(digest)
