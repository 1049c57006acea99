"""Several processes deliver to one webhook: each change arrives, in order, from one at a time."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from registry_service.public_addresses import read_networks
from registry_service.records import Stage
from registry_service.registry_database import LEDGER_CHANNEL, RegistryDatabase
from registry_service.watch_feed import Feed
from registry_service.webhook_courier import Office
from registry_service.webhook_delivery import WebhookDelivery
from registry_service.webhook_records import Attempt, Delivery, DeliveryLimits, WebhookSettings
from registry_service.webhook_secrets import WebhookSecrets
from registry_service.webhook_sender import WebhookSender
from registry_service.webhooks import create_webhook
from service_chassis.notifications import listen
from service_chassis.timestamps import now_us
from tests.store.registry.seeding import GRACE, Stud
from tests.unit.registry_service.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service_chassis.database import Database

HOOK = "workspaces/main/webhooks/ops"
LIMITS = DeliveryLimits(first_pause_us=20_000, give_up_us=3600 * 1_000_000, keep=1000)


class Process:
    """What a process of the registry does to deliver."""

    def __init__(self, database: Database) -> None:
        self.database = RegistryDatabase(database)
        self._sender = WebhookSender(read_networks(["127.0.0.0/8"]), 5)
        self._feed = Feed(self.database, poll_s=0.2, most=10)
        secrets = WebhookSecrets(b"k" * 32)
        office = Office(self.database, self._feed, self._sender, secrets, LIMITS)
        self.delivery = WebhookDelivery(office, 0.2)
        self._engine = database.engine
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._feed.start()
        listening = listen(self._engine, LEDGER_CHANNEL, self._feed.look)
        self._tasks = [
            asyncio.create_task(work) for work in (self._feed.run(), listening, self.delivery.run())
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()


@asynccontextmanager
async def delivering(stud: Stud, processes: int) -> AsyncIterator[None]:
    """So many processes deliver until the context is left."""
    running = [Process(stud.database) for _ in range(processes)]
    for process in running:
        await process.start()
    try:
        yield
    finally:
        for process in running:
            await process.stop()


def prepare(stud: Stud, url: str) -> None:
    stud.create_model()
    stud.register("1.0.0")
    settings = WebhookSettings(url, "", (), "")
    stud.write(lambda store: create_webhook(store, GRACE, HOOK, settings, 10))


def move(stud: Stud, times: int) -> None:
    for count in range(times):
        stud.move("1.0.0", Stage.STAGING if count % 2 == 0 else Stage.ARCHIVED)


async def told(stud: Stud) -> int:
    """Wait until everything was delivered; returns how many changes there were."""
    async with asyncio.timeout(120):
        while True:
            webhook = await asyncio.to_thread(stud.read, lambda store: store.webhooks.find(HOOK))
            last = await asyncio.to_thread(
                stud.read, lambda store: store.ledger.done(["version.transition"], 0, limit=1000)
            )
            assert webhook is not None
            if webhook.told_position >= last[-1].position:
                return len(last)


def test_two_processes_deliver_each_change_once_and_in_order(
    database_factory: Callable[[str], Database],
) -> None:
    stud = Stud(database_factory("registry_service"))

    async def test() -> None:
        with Receiver() as receiver:
            prepare(stud, receiver.url)
            async with delivering(stud, processes=2):
                await asyncio.to_thread(move, stud, 30)
                count = await told(stud)
            positions = [int(r.content["data"]["ledgerPosition"]) for r in receiver.received]
            assert len(positions) == count == 30
            assert positions == sorted(set(positions))

    asyncio.run(test())


def test_what_fails_now_and_then_arrives_in_order_all_the_same(
    database_factory: Callable[[str], Database],
) -> None:
    stud = Stud(database_factory("registry_service"))
    dice = random.Random(3)  # noqa: S311 - no secret depends on it

    async def test() -> None:
        with Receiver(answer=lambda *_: dice.choice([200, 200, 500, 429])) as receiver:
            prepare(stud, receiver.url)
            async with delivering(stud, processes=2):
                await asyncio.to_thread(move, stud, 15)
                await told(stud)
            positions = [int(r.content["data"]["ledgerPosition"]) for r in receiver.received]
            # Attempts at one change follow each other; then comes the next.
            assert positions == sorted(positions)
            assert len(set(positions)) == 15
            identities = {r.identity for r in receiver.received}
            assert len(identities) == 15

    asyncio.run(test())


def test_a_lease_of_a_process_that_died_runs_out(
    database_factory: Callable[[str], Database],
) -> None:
    stud = Stud(database_factory("registry_service"))

    async def test() -> None:
        with Receiver() as receiver:
            prepare(stud, receiver.url)
            uid = stud.read(lambda store: store.webhooks.all())[0].uid
            until = now_us() + 1_000_000
            assert stud.write(lambda store: store.webhooks.lease(uid, "dead", now_us(), until))
            async with delivering(stud, processes=1):
                move(stud, 1)
                await told(stud)
            assert len(receiver.received) == 1
            assert now_us() >= until

    asyncio.run(test())


def test_a_lease_is_one_process_own(stud: Stud) -> None:
    prepare(stud, "https://example.com")
    uid = stud.read(lambda store: store.webhooks.all())[0].uid

    def lease(owner: str, now: int, until: int) -> bool:
        return stud.write(lambda store: store.webhooks.lease(uid, owner, now, until))

    assert lease("a", 0, 100)
    assert not lease("b", 99, 200)
    assert lease("a", 50, 150)
    assert lease("b", 150, 250)
    assert not lease("a", 160, 300)
    stud.write(lambda store: store.webhooks.release(uid, "a"))
    assert not lease("a", 160, 300)
    stud.write(lambda store: store.webhooks.release(uid, "b"))
    assert lease("a", 160, 300)


def test_only_the_latest_deliveries_are_kept(stud: Stud) -> None:
    prepare(stud, "https://example.com")
    uid = stud.read(lambda store: store.webhooks.all())[0].uid
    for position in range(1, 8):
        delivery = Delivery(uid, position, "alias.changed", "r", 1, Attempt(1, 2, 200), None)
        stud.write(lambda store, delivery=delivery: store.webhooks.save_delivery(delivery, 3))  # type: ignore[misc]
    kept = [
        position
        for position in range(1, 8)
        if stud.read(lambda store, position=position: store.webhooks.delivery(uid, position))  # type: ignore[misc]
    ]
    assert kept == [5, 6, 7]
