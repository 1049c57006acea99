"""The issuers' public keys: fetched, prepared, kept fresh, and kept while an issuer is down."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import structlog

from gateway.issuer_client import IssuerClient
from gateway.issuer_files import read_key_set
from gateway.key_set_fetch import KeySetError, fetch_key_set
from gateway.refusals import TokenRefusedError, issuer_unavailable
from gateway.signature_check import PreparedKey, prepare_keys
from gateway.waiting_room import WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.access_rules import AccessRules, NamedIssuer

_log = structlog.get_logger("studbook.keys")

# An issuer that rotates its keys announces them earlier than this.
_REFRESH_S = 600.0
# A file costs nobody anything.
_FILE_REFRESH_S = 1.0
# While there are no keys at all, the background task tries more often, ever more slowly.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
# How long the last good set is used while the issuer is down.
_STALE_S = 24 * 3600.0


class IssuerKeys:
    """The keys of one issuer.

    Args:
        issuer: The issuer with the algorithms that it may use.
        pause_s: How long an unknown key id makes us ask no more, in seconds, whether the last
            attempt succeeded or not: tokens with made-up ids must not make us hammer the issuer.
        clock: A monotonic clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        issuer: NamedIssuer,
        pause_s: float = 60,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._pause_s = pause_s
        self._clock = clock
        self._http = IssuerClient(issuer.settings)
        self._keys: dict[tuple[str, str], PreparedKey] = {}
        self._key_set: Mapping[str, Any] | None = None
        self._fetched_at = float("-inf")
        self._attempted_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = WaitingRoom(issuer.settings.url)
        self._closed = False

    async def find(self, key_id: str, algorithm: str) -> PreparedKey:
        """The key with this id for this algorithm.

        A key id that is not known makes us fetch the set anew, at most once in `pause_s`.

        Raises:
            StudbookError: TOKEN_INVALID when the issuer has no such key, ISSUER_UNAVAILABLE when
                there is no key set to say so, or too many wait for one.
        """
        key = self._fresh_keys().get((key_id, algorithm))
        if key is None:
            await self.look_again()
            key = self._fresh_keys().get((key_id, algorithm))
        if key is not None:
            return key
        if not self._fresh_keys():
            raise issuer_unavailable(self.issuer.settings.url)
        raise TokenRefusedError("TOKEN_INVALID", "no key with this kid and alg")

    async def look_again(self) -> None:
        """Fetch the set anew, at most once in `pause_s`, when a key that has no name fails.

        Raises:
            StudbookError: ISSUER_UNAVAILABLE, when too many wait for the set.
        """
        if self._under_way() or self._may_ask_again():
            with self._waiting.place():
                await self.refresh()

    def _under_way(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _may_ask_again(self) -> bool:
        return self._clock() - self._attempted_at >= self._pause_s

    def _fresh_keys(self) -> dict[tuple[str, str], PreparedKey]:
        return self._keys if self._clock() - self._fetched_at < _STALE_S else {}

    async def refresh(self) -> bool:
        """Fetch the key set now, or wait for the fetch that is under way; whether there is one.

        A fetched set replaces the former at once, so that a key the issuer withdrew is dead.
        """
        if self._closed:
            return False
        if self._fetching is None or not self._under_way():
            self._attempted_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: the caller that began it may give up, the others still wait for it.
        await asyncio.shield(self._fetching)
        return self._fetched_at >= self._attempted_at

    async def _fetch(self) -> None:
        name = self.issuer.name
        try:
            key_set = await self._obtain()
            if key_set != self._key_set:
                self._prepare(key_set)
        except (KeySetError, OSError, ValueError) as error:
            _log.warning("keys_not_fetched", issuer=name, error=str(error), kept=len(self._keys))
            return
        self._fetched_at = self._clock()

    async def _obtain(self) -> Mapping[str, Any]:
        settings = self.issuer.settings
        if settings.keys_file is not None:
            return await asyncio.to_thread(read_key_set, settings.keys_file)
        async with self._http.use() as http:
            return await fetch_key_set(http, settings.url)

    def _prepare(self, key_set: Mapping[str, Any]) -> None:
        name, settings = self.issuer.name, self.issuer.settings
        keys = prepare_keys(key_set, settings.algorithms, single_key=settings.single_key)
        if not keys:
            _log.warning("no_usable_keys", issuer=name, algorithms=settings.algorithms)
        self._keys, self._key_set = keys, key_set
        _log.info("keys_fetched", issuer=name, keys=sorted({key_id for key_id, _ in keys}))

    async def keep_fresh(self) -> None:
        """Fetch the key set now and then, for ever."""
        retry = _FIRST_RETRY_S
        while True:
            if await self.refresh():
                retry = _FIRST_RETRY_S
                pause = _FILE_REFRESH_S if self.issuer.settings.keys_file else _REFRESH_S
            else:
                pause = retry
                retry = min(retry * 2, _LONGEST_RETRY_S)
            # Replicas that started together need not ask together.
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def close(self) -> None:
        """Close the connections, once a fetch that is under way has ended.

        It is not cancelled, since a call may be waiting for it.
        """
        if self._fetching is not None:
            await asyncio.wait([self._fetching])
        self._closed = True
        await self._http.close()


class SigningKeys:
    """The keys of all issuers in the access rules.

    Args:
        pause_s: For each of them, how often an unknown key id makes us ask it, in seconds.
    """

    def __init__(self, pause_s: float = 60) -> None:
        self._pause_s = pause_s
        self._issuers: dict[str, tuple[IssuerKeys, asyncio.Task[None]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, issuer_url: str) -> IssuerKeys:
        """The keys of an issuer that is in the rules."""
        return self._issuers[issuer_url][0]

    def follow(self, rules: AccessRules) -> None:
        """Begin to fetch the keys of new issuers; forget those of issuers that are gone.

        All at once, so that no call finds rules and keys that do not belong together.
        """
        for url, (keys, _) in list(self._issuers.items()):
            if rules.issuers.get(url) != keys.issuer:
                self._drop(url)
        for url, issuer in rules.issuers.items():
            if url not in self._issuers:
                keys = IssuerKeys(issuer, self._pause_s)
                self._issuers[url] = keys, asyncio.create_task(keys.keep_fresh())

    def _drop(self, url: str) -> None:
        keys, task = self._issuers.pop(url)
        task.cancel()
        closing = asyncio.create_task(keys.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def first_fetch(self) -> None:
        """Wait until each issuer was asked once, so that the first callers need not."""
        await asyncio.gather(*(keys.refresh() for keys, _ in self._issuers.values()))

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [task for _, task in self._issuers.values()]
        for url in list(self._issuers):
            self._drop(url)
        await asyncio.gather(*tasks, *self._closing, return_exceptions=True)
