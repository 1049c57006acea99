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
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import structlog

from registry_service.watch_changes import ACTIONS, mark_of, read_change
from registry_service.watch_interest import Interest
from service_chassis.errors import StudbookError, quota_exceeded, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_service.ledger import Entry
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.watch_changes import Change

_log = structlog.get_logger("studbook.watch")

# Changes that are kept in memory.
_RECENT = 4096
# Entries read at a time.
_BATCH = 500
# How many who watch go on before other calls have their turn.
_AT_ONCE = 50


class Cursor(NamedTuple):
    """How far somebody has come: a position in the ledger, and the mark of the entry there."""

    position: int
    mark: str


class Subscription:
    """Somebody who watches.

    Args:
        interest: What is watched.

    Attributes:
        ended: Whether the process is about to stop.
    """

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.ended = False
        self._woken = False
        self._waiting: asyncio.Future[None] | None = None

    def mark(self) -> None:
        """Tell that something that is watched has changed, without going on yet."""
        self._woken = True

    def go_on(self) -> None:
        """Let whoever waits go on."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def begin_reading(self) -> None:
        """Tell that all there is will be read now."""
        self._woken = False

    async def wait(self, seconds: float) -> bool:
        """Wait until there may be something to read; False when there is nothing still."""
        if not self._woken and seconds > 0:
            # Thousands wait at the same time, so it is done with as little as can be.
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, self.go_on)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        return self._woken


# Those who watch the very same, together.
_Groups = dict[Interest, set[Subscription]]


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
        # What was found behind a position since the head moved last; many ask for the same.
        self._found: dict[tuple[int, Interest], list[Change]] = {}
        self._by_model: defaultdict[str, _Groups] = defaultdict(dict)
        self._by_workspace: defaultdict[str, _Groups] = defaultdict(dict)
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
            except Exception as error:  # noqa: BLE001 - those who watch would wait for ever
                _log.error("defect", position=self._head.position, exc_info=error)

    def end(self) -> None:
        """Let all who watch know that this process is about to stop."""
        self._ending = True
        for groups in (*self._by_model.values(), *self._by_workspace.values()):
            for group in groups.values():
                for subscription in group:
                    subscription.ended = True
                    subscription.mark()
                    subscription.go_on()

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
        places, key = self._by_workspace, interest.workspace
        if interest.model:
            places, key = self._by_model, interest.model
        places[key].setdefault(interest, set()).add(subscription)
        try:
            yield subscription
        finally:
            groups = places[key]
            groups[interest].remove(subscription)
            if not groups[interest]:
                del groups[interest]
            if not groups:
                del places[key]

    async def after(self, cursor: Cursor, interest: Interest) -> tuple[list[Change], Cursor]:
        """The next changes behind a cursor of what is watched, and the cursor behind them.

        It was read to the end when that cursor is not before `head`.
        """
        if cursor.position >= self._kept_after:
            found = self._found.get((cursor.position, interest))
            if found is None:
                found = self._found[cursor.position, interest] = self._find(cursor, interest)
            return found, max(cursor, self._head)

        def work(store: RegistryStore) -> tuple[list[Entry], Cursor]:
            return _read(store, cursor, interest.workspace, interest.model)

        entries, reached = await self._database.read(work)
        changes = [change for change in map(read_change, entries) if change is not None]
        return [change for change in changes if interest.wants(change)], reached

    def _find(self, cursor: Cursor, interest: Interest) -> list[Change]:
        """Recent changes behind a cursor of what is watched."""
        first = bisect_right(self._recent, cursor.position, key=lambda change: change.position)
        return [change for change in self._recent[first:] if interest.wants(change)]

    async def _catch_up(self) -> None:
        full = True
        while full:
            # Nobody else moves the head.
            entries, reached = await self._database.read(lambda store: _read(store, self._head))
            self._publish([change for change in map(read_change, entries) if change], reached)
            full = len(entries) == _BATCH

    def _publish(self, changes: list[Change], reached: Cursor) -> None:
        self._head = reached
        self._found.clear()
        self._recent += changes
        surplus = len(self._recent) - _RECENT
        if surplus > 0:
            self._kept_after = self._recent[surplus - 1].position
            del self._recent[:surplus]
        concerned = list(self._concerned(changes))
        # All at once with the head, so that nobody who was not marked has missed anything.
        for subscription in concerned:
            subscription.mark()
        self._go_on(iter(concerned))

    def _concerned(self, changes: list[Change]) -> Iterator[Subscription]:
        models = {change.model for change in changes}
        workspaces = {model.split("/")[1] for model in models}
        places = chain(
            (self._by_model.get(model, {}) for model in models),
            (self._by_workspace.get(workspace, {}) for workspace in workspaces),
        )
        for interest, group in chain.from_iterable(groups.items() for groups in places):
            if any(interest.wants(change) for change in changes):
                yield from group

    def _go_on(self, concerned: Iterator[Subscription]) -> None:
        """Let some go on, and the others after whatever else has come up in between."""
        some = list(islice(concerned, _AT_ONCE))
        for subscription in some:
            subscription.go_on()
        if some:
            asyncio.get_running_loop().call_soon(self._go_on, concerned)


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
