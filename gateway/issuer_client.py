"""HTTP to one issuer, believing the certificate authorities that are on disk at the moment."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import structlog

from gateway.issuer_files import believing
from service_chassis.followed_files import fingerprint
from service_chassis.service_settings import is_loopback_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.access_file import Issuer
    from service_chassis.followed_files import Fingerprint

_log = structlog.get_logger("studbook.keys")
_TIMEOUT_S = 5.0


class IssuerClient:
    """HTTP clients for one issuer, one after another. Redirects are never followed.

    Args:
        issuer: The issuer as configured.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._seen: Fingerprint | None = None
        self._current: httpx.AsyncClient | None = None
        self._in_use: dict[httpx.AsyncClient, int] = {}
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client, for as long as it is needed.

        Raises:
            OSError: The file of authorities cannot be read, and never could.
            ValueError: It holds something else, and always did.
        """
        client = await self._up_to_date()
        self._in_use[client] = self._in_use.get(client, 0) + 1
        try:
            yield client
        finally:
            self._in_use[client] -= 1
            if not self._in_use[client]:
                del self._in_use[client]
                if client is not self._current:
                    await client.aclose()

    async def _up_to_date(self) -> httpx.AsyncClient:
        async with self._changing:
            path = self._issuer.ca_file
            found = (await asyncio.to_thread(fingerprint, path),) if path else ()
            if self._current is None or found != self._seen:
                await self._renew(path)
                self._seen = found
            assert self._current is not None  # noqa: S101 - or else `_renew` raised
            return self._current

    async def _renew(self, path: Path | None) -> None:
        former = self._current
        try:
            # Reading whose certificates are good takes a while.
            self._current = await asyncio.to_thread(self._new, path)
        except (OSError, ValueError) as error:
            if former is None:
                raise
            _log.error("ca_file_refused", issuer=self._issuer.url, problem=str(error))
            return
        if former is not None and former not in self._in_use:
            await former.aclose()

    def _new(self, path: Path | None) -> httpx.AsyncClient:
        # A proxy of the environment is for the network, not for this machine.
        local = is_loopback_host(urlsplit(self._issuer.url).hostname or "")
        return httpx.AsyncClient(
            timeout=_TIMEOUT_S,
            follow_redirects=False,
            trust_env=not local,
            headers={"accept": "*/*"},
            verify=True if path is None else believing(path),
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._current is not None:
            await self._current.aclose()
