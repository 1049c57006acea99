"""Making checkpoints: on demand, and at an interval."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from registry_service.store.checkpoint_store import StoredCheckpoint
from studbook.checkpoints import Checkpoint

if TYPE_CHECKING:
    from registry_service.registry_database import RegistryDatabase
    from registry_service.signing import Signer
    from registry_service.store import RegistryStore

_log = structlog.get_logger("studbook.checkpoints")


def is_due(store: RegistryStore) -> bool:
    """Whether anything was entered since the last checkpoint."""
    latest = store.checkpoints.latest()
    return store.ledger.head().position > (latest.position if latest else 0)


def make_checkpoint(store: RegistryStore, signer: Signer) -> tuple[StoredCheckpoint | None, bool]:
    """Make a checkpoint, unless there is one of the ledger as it is.

    Must run in a write transaction.

    Returns:
        The latest checkpoint, None when the ledger is empty; and whether it is new.
    """
    head = store.ledger.lock()
    latest = store.checkpoints.latest()
    if not head.position or (latest is not None and latest.position >= head.position):
        return latest, False
    time_us = max(store.now_us(), head.settled_us)
    store.ledger.settle(time_us)
    stated = Checkpoint(store.checkpoints.ledger(), head.position, head.hash, time_us)
    envelope = stated.seal(signer.key_id, signer.sign(stated.signed_bytes))
    made = StoredCheckpoint(head.position, time_us, signer.key_id, envelope)
    store.checkpoints.insert(made)
    return made, True


class CheckpointSchedule:
    """Makes checkpoints at an interval, whenever something was entered since the last one.

    Args:
        database: The registry's database. Several processes may do this at once.
        signer: Signs them.
        interval_s: Seconds from one to the next; 0 for none.
    """

    def __init__(self, database: RegistryDatabase, signer: Signer, interval_s: float) -> None:
        self._database = database
        self._signer = signer
        self._interval_s = interval_s

    async def run(self) -> None:
        """Make checkpoints until cancelled. What fails is tried again at the next turn."""
        while self._interval_s:
            await asyncio.sleep(self._interval_s)
            try:
                await self._make()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next turn is due
                _log.warning("background work failed", work="checkpoints", exc_info=error)

    async def _make(self) -> None:
        # A look costs less than a transaction that writes.
        if not await self._database.read(is_due):
            return
        made, is_new = await self._database.write(
            lambda store: make_checkpoint(store, self._signer)
        )
        if made is not None and is_new:
            _log.info("checkpoint made", position=made.position, key_id=made.key_id)
