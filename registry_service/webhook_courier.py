"""Delivers changes to one webhook.

The position up to which a webhook was told stands in the database, and whoever delivers holds its
lease: so nothing is lost when a process ends, and no two deliver at the same time.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from registry_service.watch_feed import Cursor
from registry_service.watch_interest import Interest
from registry_service.webhook_events import wants
from registry_service.webhook_messages import event_body, headers, trial_body, trial_message_id
from registry_service.webhook_records import WebhookState, message_id
from registry_service.webhooks import conclude_delivery
from service_chassis.errors import StudbookError
from service_chassis.timestamps import now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.watch_changes import Change
    from registry_service.watch_feed import Feed
    from registry_service.webhook_records import Attempt, DeliveryLimits, Webhook
    from registry_service.webhook_secrets import WebhookSecrets
    from registry_service.webhook_sender import WebhookSender

_log = structlog.get_logger("studbook.webhooks")

# How long a courier that has nothing to do looks away when nobody wakes it.
_IDLE_S = 60.0
_AFTER_TROUBLE_S = 5.0
# What a lease lasts beyond the time limit of a request.
_LEASE_MARGIN_S = 20


@dataclass(frozen=True)
class Office:
    """What couriers work with.

    Attributes:
        feed: Wakes them.
        sender: Sends requests.
        secrets: Signs them.
        limits: How they are repeated and kept.
        clock: The present moment in microseconds.
        owner: What this process calls itself in leases.
    """

    database: RegistryDatabase
    feed: Feed
    sender: WebhookSender
    secrets: WebhookSecrets
    limits: DeliveryLimits
    clock: Callable[[], int] = now_us
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    async def post(self, webhook: Webhook, identity: str, body: bytes) -> Attempt:
        """Send a signed message, once."""
        sent = headers(self.secrets, webhook, identity, body, self.clock())
        return await self.sender.post(webhook.settings.url, sent, body)

    async def post_trial(self, webhook: Webhook) -> Attempt:
        """Send a message that tells of no change, once."""
        us = self.clock()
        return await self.post(webhook, trial_message_id(webhook, us), trial_body(webhook, us))


class Courier:
    """Delivers to one webhook, with settings as they are now.

    Args:
        office: What it works with.
        webhook: The webhook.
    """

    def __init__(self, office: Office, webhook: Webhook) -> None:
        self._office = office
        self._uid = webhook.uid
        self._interest = Interest(webhook.workspace, webhook.settings.models)
        # Nothing for this webhook lies between the position it was told of and this one.
        self._seen = Cursor(0, "")

    async def run(self) -> None:
        """Deliver until cancelled."""
        with self._office.feed.subscribe(self._interest) as subscription:
            try:
                while True:
                    subscription.begin_reading()
                    await subscription.wait(await self._deliver())
            finally:
                await self._release()

    async def _deliver(self) -> float:
        """Deliver what there is; returns after how many seconds to look again unwoken."""
        try:
            while True:
                found = await self._look()
                if isinstance(found, float):
                    return found
                changes = await self._next_changes(found)
                if not changes:
                    return _IDLE_S
                await self._tell_all(changes)
        except StudbookError as error:
            _log.warning("webhook_waits", reason=error.reason, webhook=self._uid)
            return _AFTER_TROUBLE_S

    async def _look(self) -> Webhook | float:
        """The webhook when it can be delivered to now, else for how many seconds it cannot."""
        now = self._office.clock()
        webhook = await self._office.database.read(
            lambda store: store.webhooks.get(self._uid), brief=True
        )
        if webhook is None or webhook.settings.state is not WebhookState.ACTIVE:
            return _IDLE_S
        wait_until_us = webhook.next_attempt_us
        if webhook.lease_owner != self._office.owner:
            wait_until_us = max(wait_until_us, webhook.lease_until_us)
        return webhook if wait_until_us <= now else (wait_until_us - now) / 1e6

    async def _next_changes(self, webhook: Webhook) -> list[Change]:
        """What a webhook has to be told next; empty when it has been told everything."""
        cursor = max(Cursor(webhook.told_position, ""), self._seen)
        while True:
            changes, reached = await self._office.feed.after(cursor, self._interest)
            wanted = [change for change in changes if wants(webhook, change)]
            if wanted:
                return wanted
            self._seen = cursor = reached
            if reached.position >= self._office.feed.head.position:
                return []

    async def _tell_all(self, changes: list[Change]) -> None:
        """Tell of changes, one after the other, as long as they arrive and the lease is ours."""
        webhook: Webhook | None = None
        for change in changes:
            webhook = await self._hold()
            if webhook is None:
                return
            if change.position <= webhook.told_position:
                continue
            webhook = await self._tell(webhook, change)
            if webhook is None or webhook.failures:
                break
        await self._release()

    async def _hold(self) -> Webhook | None:
        """Take or prolong the lease; None when another process has it or it is paused."""
        now = self._office.clock()
        until = now + int((self._office.sender.timeout_s + _LEASE_MARGIN_S) * 1e6)

        def work(store: RegistryStore) -> Webhook | None:
            held = store.webhooks.lease(self._uid, self._office.owner, now, until)
            return store.webhooks.get(self._uid) if held else None

        webhook = await self._office.database.write(work)
        if webhook is None or webhook.settings.state is not WebhookState.ACTIVE:
            return None
        return webhook

    async def _tell(self, webhook: Webhook, change: Change) -> Webhook | None:
        """Send a change, and write down what came of it."""
        identity = message_id(webhook.uid, change.position)
        attempt = await self._office.post(webhook, identity, event_body(change))
        if not attempt.delivered:
            _log.warning(
                "webhook_failed",
                webhook=webhook.name,
                position=change.position,
                failures=webhook.failures + 1,
                error=attempt.error,
            )
        office = self._office
        return await office.database.write(
            lambda store: conclude_delivery(
                store, webhook.uid, office.owner, change, attempt, office.limits
            )
        )

    async def _release(self) -> None:
        # Where the database is away, the lease runs out.
        with suppress(StudbookError):
            await self._office.database.write(
                lambda store: store.webhooks.release(self._uid, self._office.owner)
            )
