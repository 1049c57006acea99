"""WatchService: being told of changes as they happen."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from registry_service.resume_tokens import fingerprint, open_token, seal_token
from registry_service.watch_conversion import (
    read_interest,
    to_change,
    to_standing_alias,
    to_standing_version,
)
from registry_service.watch_feed import Cursor
from registry_service.watch_interest import check_sight, may_see, sight_of
from registry_service.watch_state import check_reach, read_state
from service_chassis.caller import current_caller
from service_chassis.timestamps import now_us
from studbook.registry.v1 import watch_pb2
from studbook.registry.v1 import watch_service_pb2 as messages
from studbook.registry.v1.watch_service_pb2_grpc import WatchServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from google.protobuf.duration_pb2 import Duration
    from grpc.aio import ServicerContext

    from registry_service.registry_database import RegistryDatabase
    from registry_service.watch_changes import Change
    from registry_service.watch_feed import Feed, Subscription
    from registry_service.watch_interest import Sight
    from registry_service.watch_records import WatchLimits
    from registry_service.watch_state import State
    from service_chassis.caller import Caller
    from service_chassis.page_tokens import PageTokens

# Of versions, and of aliases, in one message of a state.
_MOST_STANDING = 1000
# In one message.
_MOST_CHANGES = 100
# Messages that are kept for others who watch the same.
_MOST_MADE = 1024
_PROGRESS_S = 30.0
_SHORTEST_PROGRESS_S = 1.0
_LONGEST_PROGRESS_S = 300.0


class WatchService(WatchServiceServicer):
    """Tells callers of changes.

    Args:
        database: The registry's database.
        feed: Where changes come from.
        tokens: Seals resume tokens.
        limits: How long and how far back.
        clock: The present moment in microseconds.
    """

    def __init__(
        self,
        database: RegistryDatabase,
        feed: Feed,
        tokens: PageTokens,
        limits: WatchLimits,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._database = database
        self._feed = feed
        self._tokens = tokens
        self._limits = limits
        self._clock = clock
        self._made: OrderedDict[object, messages.WatchVersionsResponse] = OrderedDict()

    async def WatchVersions(
        self,
        request: messages.WatchVersionsRequest,
        _context: ServicerContext[messages.WatchVersionsRequest, messages.WatchVersionsResponse],
    ) -> AsyncIterator[messages.WatchVersionsResponse]:
        """Tell how things stand, and then each change."""
        interest = read_interest(request)
        caller = current_caller()
        check_sight(caller, interest)
        arguments = fingerprint(interest)
        token = request.resume_token
        cursor = open_token(self._tokens, token, arguments) if token else None
        with self._feed.subscribe_caller(interest) as subscription:
            if cursor is None:
                state = await self._database.read(lambda store: read_state(store, caller, interest))
                cursor = Cursor(state.position, state.mark)
                for message in self._state_messages(state, arguments):
                    yield message
            else:
                await self._check_reach(cursor)
            watch = _Watch(subscription, caller, arguments, cursor)
            watch.end_at = time.monotonic() + self._longest_s(caller)
            watch.progress_s = _progress_s(request.progress_interval)
            async for message in self._follow(watch):
                yield message

    async def _check_reach(self, cursor: Cursor) -> None:
        since_us = self._clock() - self._limits.replay_us
        await self._database.read(
            lambda store: check_reach(store, cursor.position, cursor.mark, since_us), brief=True
        )

    def _longest_s(self, caller: Caller) -> float:
        """How long this watch may last: no longer than the token of its caller is good."""
        if caller.until_s is None:
            return self._limits.longest_s
        return min(self._limits.longest_s, caller.until_s - self._clock() / 1e6)

    async def _follow(self, watch: _Watch) -> AsyncIterator[messages.WatchVersionsResponse]:
        """Tell changes behind the watch's cursor until it ends."""
        while True:
            watch.subscription.begin_reading()
            changes, cursor = await self._feed.after(watch.cursor, watch.subscription.interest)
            for message in self._change_messages(watch, changes):
                yield watch.told(message)
            watch.cursor = cursor
            if cursor.position < self._feed.head.position:
                continue
            woken = await watch.subscription.wait(watch.pause_s())
            if not woken:
                # Nothing that is watched lies between here and there.
                watch.cursor = max(cursor, self._feed.head)
            over = watch.is_over
            if over or (not woken and watch.progress_is_due):
                yield watch.told(self._progress_message(watch))
            if over:
                return

    def _state_messages(
        self, state: State, arguments: str
    ) -> Iterator[messages.WatchVersionsResponse]:
        versions = list(map(to_standing_version, state.versions))
        aliases = list(map(to_standing_alias, state.aliases))
        most = max(len(versions), len(aliases), 1)
        parts = [
            watch_pb2.WatchState(
                versions=versions[start : start + _MOST_STANDING],
                aliases=aliases[start : start + _MOST_STANDING],
            )
            for start in range(0, most, _MOST_STANDING)
        ]
        parts[0].begins = True
        parts[-1].complete = True
        for part in parts:
            message = messages.WatchVersionsResponse(state=part)
            if part.complete:
                cursor = Cursor(state.position, state.mark)
                message.resume_token = seal_token(self._tokens, cursor, arguments)
            yield message

    def _change_messages(
        self, watch: _Watch, changes: list[Change]
    ) -> Iterator[messages.WatchVersionsResponse]:
        """The messages for changes, as far as the watcher may see them."""
        seen = [(change, watch.sight(change.model)) for change in changes]
        seen = [(change, sight) for change, sight in seen if may_see(sight, change)]
        for start in range(0, len(seen), _MOST_CHANGES):
            yield self._change_message(seen[start : start + _MOST_CHANGES], watch.arguments)

    def _change_message(
        self, seen: list[tuple[Change, Sight]], arguments: str
    ) -> messages.WatchVersionsResponse:
        """The message for changes, made once for all who watch the same."""
        key = arguments, *((change.position, sight) for change, sight in seen)
        message = self._made.get(key)
        if message is None:
            last = seen[-1][0]
            told = [to_change(change, sight) for change, sight in seen]
            message = self._made[key] = messages.WatchVersionsResponse(
                changes=watch_pb2.WatchChanges(changes=told),
                resume_token=seal_token(self._tokens, Cursor(last.position, last.mark), arguments),
            )
            if len(self._made) > _MOST_MADE:
                self._made.popitem(last=False)
        return message

    def _progress_message(self, watch: _Watch) -> messages.WatchVersionsResponse:
        return messages.WatchVersionsResponse(
            progress=watch_pb2.WatchProgress(ledger_position=watch.cursor.position),
            resume_token=seal_token(self._tokens, watch.cursor, watch.arguments),
        )


class _Watch:
    """One watch that is under way.

    Attributes:
        cursor: How far it has come.
        end_at: When it ends, by the monotonic clock.
        progress_s: After how long without a message it gives a sign of life.
    """

    def __init__(
        self, subscription: Subscription, caller: Caller, arguments: str, cursor: Cursor
    ) -> None:
        self.subscription = subscription
        self.caller = caller
        self.arguments = arguments
        self.cursor = cursor
        self.end_at = 0.0
        self.progress_s = _PROGRESS_S
        self._told_at = time.monotonic()
        self._sights: dict[str, Sight] = {}

    def sight(self, model: str) -> Sight:
        """How much of a model the caller may see."""
        found = self._sights.get(model)
        if found is None:
            found = self._sights[model] = sight_of(self.caller, model)
        return found

    def told(self, message: messages.WatchVersionsResponse) -> messages.WatchVersionsResponse:
        """Remember that a message is sent now."""
        self._told_at = time.monotonic()
        return message

    def pause_s(self) -> float:
        """How long to wait for a change at most."""
        if self.subscription.ended:
            return 0
        return max(min(self._told_at + self.progress_s, self.end_at) - time.monotonic(), 0)

    @property
    def progress_is_due(self) -> bool:
        """Whether it is time for a sign of life."""
        return time.monotonic() >= self._told_at + self.progress_s

    @property
    def is_over(self) -> bool:
        """Whether it has to end."""
        return self.subscription.ended or time.monotonic() >= self.end_at


def _progress_s(interval: Duration) -> float:
    seconds = interval.seconds + interval.nanos / 1e9
    if seconds <= 0:
        return _PROGRESS_S
    return min(max(seconds, _SHORTEST_PROGRESS_S), _LONGEST_PROGRESS_S)
