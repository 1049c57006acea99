"""The feed: tells those who watch in this process what the ledger has to tell.

The ledger is the queue. Who watches keeps a position in it and nothing else, so none of them can
be flooded, and none holds anybody up: those that have fallen behind read from the database what
the others are given from memory. New entries are looked for when this process or, by PostgreSQL's
notifications, another one has appended some, and besides every now and then.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import structlog

from registry_service.watch_changes import ACTIONS, mark_of, read_change
from service_chassis.errors import StudbookError, quota_exceeded, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_service.ledger import Entry
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.watch_changes import Change
    from registry_service.watch_interest import Interest

_log = structlog.get_logger("studbook.watch")

# Changes that are kept in memory.
_RECENT = 4096
# Entries read at a time.
_BATCH = 500


class Cursor(NamedTuple):
    """How far somebody has come: a position in the ledger, and the mark of the entry there."""

    position: int
    mark: str


@dataclass(eq=False)
class Subscription:
    """Somebody who watches.

    Attributes:
        interest: What is watched.
        ended: Whether the process is about to stop.
    """

    interest: Interest
    ended: bool = False
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Tell that something that is watched has changed."""
        self._woken.set()

    def begin_reading(self) -> None:
        """Tell that all there is will be read now."""
        self._woken.clear()

    async def wait(self, seconds: float) -> bool:
        """Wait until there may be something to read; False when there is nothing still."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        return self._woken.is_set()


class Feed:
    """Reads the ledger once for all who watch in this process.

    Args:
        database: The registry's database.
        poll_s: How often to look without having been told, in seconds.
        most: Most subscriptions of callers at a time.
    """

    def __init__(self, database: RegistryDatabase, *, poll_s: float, most: int) -> None:
        self._database = database
        self._poll_s = poll_s
        self._most = most
        self._look = asyncio.Event()
        self._recent: list[Change] = []
        self._kept_after = 0
        self._head = Cursor(0, "")
        self._by_model: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._by_workspace: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._callers = 0
        self._ending = False

    @property
    def head(self) -> Cursor:
        """How far the ledger was read. Whoever watches and was not woken has missed nothing."""
        return self._head

    def look(self) -> None:
        """Look soon whether there is anything new."""
        self._look.set()

    async def start(self) -> None:
        """Begin at the end of the ledger."""
        head = await self._database.read(lambda store: store.ledger.head(), brief=True)
        self._head = Cursor(head.position, mark_of(head.hash))
        self._kept_after = head.position
        self._database.on_append = self.look

    async def run(self) -> None:
        """Tell of what is new, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._catch_up()
            except StudbookError as error:
                _log.warning("feed_is_behind", reason=error.reason, position=self._head.position)

    def end(self) -> None:
        """Let all who watch know that this process is about to stop."""
        self._ending = True
        for group in (*self._by_model.values(), *self._by_workspace.values()):
            for subscription in group:
                subscription.ended = True
                subscription.wake()

    @contextmanager
    def subscribe_caller(self, interest: Interest) -> Iterator[Subscription]:
        """`subscribe` for a caller of the service.

        Raises:
            StudbookError: DRAINING; or QUOTA_EXCEEDED when as many watch as may.
        """
        if self._ending:
            raise unavailable("DRAINING", "The server is being stopped; call again in a moment.")
        if self._callers >= self._most:
            message = f"{self._callers} callers watch already, as many as may; call another server."
            raise quota_exceeded("watchers", self._most, self._callers + 1, message)
        self._callers += 1
        try:
            with self.subscribe(interest) as subscription:
                yield subscription
        finally:
            self._callers -= 1

    @contextmanager
    def subscribe(self, interest: Interest) -> Iterator[Subscription]:
        """Be woken by changes of what is watched, until the context is left."""
        subscription = Subscription(interest)
        groups, key = self._by_workspace, interest.workspace
        if interest.model:
            groups, key = self._by_model, interest.model
        groups[key].add(subscription)
        try:
            yield subscription
        finally:
            groups[key].remove(subscription)
            if not groups[key]:
                del groups[key]

    async def after(self, cursor: Cursor, interest: Interest) -> tuple[list[Change], Cursor]:
        """The next changes behind a cursor of what is watched, and the cursor behind them.

        It was read to the end when that cursor is not before `head`.
        """
        if cursor.position >= self._kept_after:
            first = bisect_right(self._recent, cursor.position, key=lambda change: change.position)
            changes = [change for change in self._recent[first:] if interest.wants(change)]
            return changes, max(cursor, self._head)

        def work(store: RegistryStore) -> tuple[list[Entry], Cursor]:
            return _read(store, cursor, interest.workspace, interest.model)

        entries, reached = await self._database.read(work)
        changes = [change for change in map(read_change, entries) if change is not None]
        return [change for change in changes if interest.wants(change)], reached

    async def _catch_up(self) -> None:
        full = True
        while full:
            # Nobody else moves the head.
            entries, reached = await self._database.read(lambda store: _read(store, self._head))
            self._publish([change for change in map(read_change, entries) if change], reached)
            full = len(entries) == _BATCH

    def _publish(self, changes: list[Change], reached: Cursor) -> None:
        self._head = reached
        self._recent += changes
        surplus = len(self._recent) - _RECENT
        if surplus > 0:
            self._kept_after = self._recent[surplus - 1].position
            del self._recent[:surplus]
        for change in changes:
            workspace = change.model.split("/")[1]
            for subscription in self._by_model.get(change.model, ()):
                if subscription.interest.wants(change):
                    subscription.wake()
            for subscription in self._by_workspace.get(workspace, ()):
                if subscription.interest.wants(change):
                    subscription.wake()


def _read(
    store: RegistryStore, cursor: Cursor, workspace: str = "", model: str = ""
) -> tuple[list[Entry], Cursor]:
    """Entries behind a cursor that tell something, and how far they reach."""
    head = store.ledger.head()
    entries = store.ledger.done(
        ACTIONS, cursor.position, workspace=workspace, model=model, limit=_BATCH
    )
    if len(entries) == _BATCH:
        return entries, Cursor(entries[-1].position, mark_of(entries[-1].hash))
    return entries, Cursor(head.position, mark_of(head.hash))
