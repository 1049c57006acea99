"""Keeps a courier for each webhook, in each process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from registry_service.webhook_courier import Courier
from registry_service.webhook_records import WebhookState
from service_chassis.errors import StudbookError

if TYPE_CHECKING:
    from registry_service.webhook_courier import Office


class WebhookDelivery:
    """Delivers to all webhooks.

    Args:
        office: What couriers work with.
        poll_s: How often to look for webhooks that another process changed, in seconds.
    """

    def __init__(self, office: Office, poll_s: float) -> None:
        self._office = office
        self._poll_s = poll_s
        self._look = asyncio.Event()
        self._couriers: dict[str, tuple[int, asyncio.Task[None]]] = {}

    def look(self) -> None:
        """Look soon whether webhooks were added, changed or deleted."""
        self._look.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                self._look.clear()
                # Where the database is away those that are there go on.
                with suppress(StudbookError):
                    await self._appoint()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await self._look.wait()
        finally:
            for uid in list(self._couriers):
                await self._dismiss(uid)

    async def _appoint(self) -> None:
        found = await self._office.database.read(lambda store: store.webhooks.all())
        active = {hook.uid: hook for hook in found if hook.settings.state is WebhookState.ACTIVE}
        for uid, (change_position, task) in list(self._couriers.items()):
            webhook = active.get(uid)
            if webhook is None or webhook.change_position != change_position or task.done():
                await self._dismiss(uid)
        for uid, webhook in active.items():
            if uid not in self._couriers:
                task = asyncio.create_task(Courier(self._office, webhook).run())
                self._couriers[uid] = webhook.change_position, task

    async def _dismiss(self, uid: str) -> None:
        _, task = self._couriers.pop(uid)
        task.cancel()
        await asyncio.wait([task])
