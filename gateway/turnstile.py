"""What holds for a call once its caller is known: how many of them there may be, and how long.

An identity may make so many calls a second and have so many under way, whatever the number of its
tokens and connections. A call with a stream ends when the token that opened it ends or is revoked.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from gateway.refusals import identity_too_busy, stream_outlived_token, token_revoked
from gateway.token_verifier import LEEWAY_S
from service_chassis.call_pipeline import CLIENT_GONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication import RulesSource
    from gateway.refusals import TokenRefusedError
    from service_chassis.caller import Principal
    from service_chassis.method_access import Method

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
        rules: The access rules in force, which may revoke tokens.
        limits: What one identity may do.
        clock: A monotonic clock in seconds; tests pass their own.
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        rules: RulesSource,
        limits: IdentityLimits,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._clock = clock
        self._now = now
        self._loads: dict[str, _Load] = {}
        self._streams: set[UnderWay] = set()

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

    def under_way(
        self, method: Method, principal: Principal, issued_s: float, until_s: float
    ) -> UnderWay:
        """A counted call for as long as it goes on: a context in which its work is done.

        A call with a stream is cancelled when its token ends, and leaves the context with
        TOKEN_EXPIRED or TOKEN_REVOKED.

        Args:
            method: The method that is called.
            principal: Who calls.
            issued_s: When the token was issued, in seconds since 1970.
            until_s: When it expires.

        Raises:
            StudbookError: RATE_LIMITED, when too many of the identity's calls are under way.
        """
        load = self._load(principal.id)
        if load.under_way >= self._limits.calls_at_a_time:
            most = self._limits.calls_at_a_time
            raise identity_too_busy(
                principal.id, "identity_calls_at_a_time", most, _WAIT_FOR_AN_END_S
            )
        lasts = method.client_streaming or method.server_streaming
        return UnderWay(load, principal, issued_s, until_s, self._streams if lasts else None)

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

    def sweep(self) -> None:
        """End the streams whose tokens are no longer good; forget identities that are at rest."""
        now, rules = self._now(), self._rules.current
        for stream in tuple(self._streams):
            if stream.until_s + LEEWAY_S <= now:
                stream.end(stream_outlived_token(stream.principal))
            elif rules.is_revoked(stream.principal, stream.issued_s):
                stream.end(token_revoked(stream.principal))
        for identity in tuple(self._loads):
            load = self._load(identity)
            if not load.under_way and load.left >= self._limits.burst:
                del self._loads[identity]

    async def watch(self, pause_s: float = _SWEEP_S) -> NoReturn:
        """Sweep every now and then, for ever."""
        while True:
            await asyncio.sleep(pause_s)
            self.sweep()


class UnderWay:
    """One call that goes on; see `Turnstile.under_way`."""

    __slots__ = ("_load", "_refusal", "_streams", "_task", "issued_s", "principal", "until_s")

    def __init__(
        self,
        load: _Load,
        principal: Principal,
        issued_s: float,
        until_s: float,
        streams: set[UnderWay] | None,
    ) -> None:
        self._load = load
        self.principal = principal
        self.issued_s = issued_s
        self.until_s = until_s
        self._streams = streams
        self._refusal: TokenRefusedError | None = None
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> None:
        self._load.under_way += 1
        if self._streams is not None:
            self._task = asyncio.current_task()
            self._streams.add(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._load.under_way -= 1
        if self._streams is None:
            return
        self._streams.discard(self)
        if self._refusal is None:
            return
        if self._task is not None:
            self._task.uncancel()
        # Of a call that ended by itself in the same moment, its own end is told.
        if kind is not None and issubclass(kind, CLIENT_GONE):
            raise self._refusal

    def end(self, refusal: TokenRefusedError) -> None:
        """Cancel the call, which is then refused with this."""
        if self._refusal is None and self._task is not None:
            self._refusal = refusal
            self._task.cancel()
