"""What holds for a call once its caller is known: how many of them there may be, and how long.

An identity may make so many calls a second and have so many under way, whatever the number of its
tokens and connections. A call with a stream ends when the token that opened it ends or is revoked,
and when the access rules no longer give its caller what it was admitted with. So does a call whose
one message is yet to come, which could else be kept ready for when it would no longer be let in.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import structlog

from gateway.admission import admit
from gateway.refusals import access_changed, identity_too_busy, stream_outlived_token
from gateway.token_verifier import LEEWAY_S
from service_chassis.call_pipeline import CLIENT_GONE
from service_chassis.errors import StudbookError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from gateway.authentication import Authenticated, Authenticator
    from service_chassis.caller import Caller, Metadata, Principal
    from service_chassis.method_access import Method

_log = structlog.get_logger("studbook.access")
_SWEEP_S = 1.0
# Shorter waits are not worth a client's while, and would bring it back too soon too often.
_SHORTEST_WAIT_S = 0.1
_WAIT_FOR_AN_END_S = 1.0


@dataclass(frozen=True)
class IdentityLimits:
    """How much one identity may do.

    Attributes:
        calls_per_second: How many calls, in the long run.
        burst: How many at once, after a pause.
        calls_at_a_time: How many under way.
    """

    calls_per_second: int
    burst: int
    calls_at_a_time: int


class _Load:
    """One identity's calls: what is left of its allowance as of a time, and how many go on."""

    __slots__ = ("as_of", "left", "under_way")

    def __init__(self, left: float, as_of: float) -> None:
        self.left = left
        self.as_of = as_of
        self.under_way = 0


class Turnstile:
    """Keeps count of everybody's calls. One for all ways in.

    Args:
        authenticator: Tells of streams whether they would still be let in.
        limits: What one identity may do.
        clock: A monotonic clock in seconds; tests pass their own.
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limits: IdentityLimits,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._authenticator = authenticator
        self._limits = limits
        self._clock = clock
        self._now = now
        self._loads: dict[str, _Load] = {}
        self._open: set[UnderWay] = set()

    @property
    def identities(self) -> int:
        """How many identities are kept count of: those with calls lately, or under way."""
        return len(self._loads)

    def count(self, principal: Principal) -> None:
        """Count a call of an identity.

        Raises:
            StudbookError: RATE_LIMITED, with the time to wait.
        """
        load, limits = self._load(principal.id), self._limits
        if load.left < 1.0:
            wait = max((1.0 - load.left) / limits.calls_per_second, _SHORTEST_WAIT_S)
            raise identity_too_busy(
                principal.id, "identity_calls_per_second", limits.calls_per_second, wait
            )
        load.left -= 1.0

    def under_way(self, method: Method, caller: Caller, metadata: Metadata) -> UnderWay:
        """A counted call for as long as it goes on: a context in which its work is done.

        A call with a stream, or without its message, is cancelled when its token ends, or what it
        was admitted with, and leaves the context with the reason: TOKEN_EXPIRED, TOKEN_REVOKED,
        PERMISSION_MISSING, or ACCESS_CHANGED when part of what the caller held is left.

        Args:
            method: The method that is called.
            caller: Who calls, with what it was admitted with.
            metadata: What came with the call, the token among it.

        Raises:
            StudbookError: RATE_LIMITED, when too many of the identity's calls are under way.
        """
        principal = caller.principal
        load = self._load(principal.id)
        if load.under_way >= self._limits.calls_at_a_time:
            most = self._limits.calls_at_a_time
            raise identity_too_busy(
                principal.id, "identity_calls_at_a_time", most, _WAIT_FOR_AN_END_S
            )
        return UnderWay(load, method, caller, metadata, self._open)

    def _load(self, identity: str) -> _Load:
        now = self._clock()
        load = self._loads.get(identity)
        if load is None:
            load = self._loads[identity] = _Load(self._limits.burst, now)
        else:
            regained = (now - load.as_of) * self._limits.calls_per_second
            load.left = min(load.left + regained, self._limits.burst)
            load.as_of = now
        return load

    async def sweep(self) -> None:
        """End the calls that would not be let in now; forget identities that are at rest."""
        for call in tuple(self._open):
            try:
                await self._check(call)
            except StudbookError as refusal:
                call.end(refusal)
        for identity in tuple(self._loads):
            load = self._load(identity)
            if not load.under_way and load.left >= self._limits.burst:
                del self._loads[identity]

    async def _check(self, call: UnderWay) -> None:
        """Make sure that a call may go on.

        Raises:
            StudbookError: It may not.
        """
        until = call.caller.until_s
        if until is not None and until + LEEWAY_S <= self._now():
            raise stream_outlived_token(call.caller.principal)
        if call.known is not None and self._authenticator.is_in_force(call.known):
            return
        known = await self._authenticator.look_up(call.metadata)
        if not admit(call.method, known).keeps(call.caller):
            raise access_changed()
        call.known = known

    async def watch(self, pause_s: float = _SWEEP_S) -> NoReturn:
        """Sweep every now and then, for ever."""
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - streams must not go on unwatched for good
                _log.error("defect", exc_info=error)


class UnderWay:
    """One call that goes on; see `Turnstile.under_way`.

    Attributes:
        method: The method that was called.
        caller: Who called, with what it was admitted with.
        metadata: What came with the call.
        known: The caller as it was looked up last, once that was done.
    """

    __slots__ = ("_load", "_open", "_refusal", "_task", "caller", "known", "metadata", "method")

    def __init__(
        self,
        load: _Load,
        method: Method,
        caller: Caller,
        metadata: Metadata,
        calls: set[UnderWay],
    ) -> None:
        self._load = load
        self.method = method
        self.caller = caller
        self.metadata = metadata
        self.known: Authenticated | None = None
        self._open = calls
        self._refusal: StudbookError | None = None
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._load.under_way += 1
        self._task = asyncio.current_task()
        self._open.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._load.under_way -= 1
        self._open.discard(self)
        if self._refusal is None:
            return
        if self._task is not None:
            self._task.uncancel()
        # Of a call that ended by itself in the same moment, its own end is told.
        if kind is not None and issubclass(kind, CLIENT_GONE):
            raise self._refusal

    def has_message(self) -> None:
        """Let a call without streams go on to its end: what it asks for is about to be done."""
        if not (self.method.client_streaming or self.method.server_streaming):
            self._open.discard(self)

    def end(self, refusal: StudbookError) -> None:
        """Cancel the call, which is then refused with this; one that has ended is left alone."""
        if self in self._open and self._refusal is None and self._task is not None:
            self._refusal = refusal
            self._task.cancel()
