"""Sends one HTTP request where a webhook says, and nowhere else.

Redirects are not followed and no proxy is asked. A name is resolved here, each address is looked
at, and the connection is made to that very address, so that a name cannot lead elsewhere between
the look and the call.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from registry_service.public_addresses import is_public, is_within, read_address
from registry_service.webhook_records import Attempt
from service_chassis.timestamps import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from registry_service.public_addresses import Address, Network

_MOST_AT_ONCE = 32
_LONGEST_ERROR = 300


class AddressRefusedError(Exception):
    """A name leads to addresses only that must not be called."""


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that may be called.

    Args:
        allowed: Networks that may be called although they are not public.
        public: Whether public addresses may be called.
    """

    def __init__(self, allowed: Sequence[Network], *, public: bool) -> None:
        self._allowed = allowed
        self._public = public
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, look, connect."""
        failure: Exception | None = None
        for address in await self._resolve(host, port):
            try:
                return await self._backend.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("the name has no address")

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except OSError as error:
            message = "the name cannot be resolved"
            raise httpcore.ConnectError(message) from error
        addresses = list(dict.fromkeys(read_address(str(entry[4][0])) for entry in found))
        callable_ = [address for address in addresses if self._may_call(address)]
        if addresses and not callable_:
            raise AddressRefusedError(_refusal(addresses[0], public=self._public))
        return callable_

    def _may_call(self, address: Address) -> bool:
        return is_within(address, self._allowed) or (self._public and is_public(address))


def _refusal(address: Address, *, public: bool) -> str:
    kind = "is not a public address" if public else "may be called by https:// only"
    return f"{address} {kind}; STUDBOOK_REGISTRY_WEBHOOK_ALLOWED_NETWORKS can allow its network"


class WebhookSender:
    """Sends requests, some at a time.

    Args:
        allowed: Networks that may be called although they are not public, and without TLS.
        timeout_s: How long one request may take, in seconds.

    Attributes:
        timeout_s: The same.
    """

    def __init__(self, allowed: Sequence[Network], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        context = httpx.create_ssl_context()
        # Connections are not kept: each is made to an address that was looked at just before.
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_keepalive_connections=0,
                network_backend=_GuardedBackend(allowed, public=scheme == "https"),
            )
            for scheme in ("https", "http")
        }

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """Send a body, and tell what came of it. Only the status of the answer is read."""
        async with self._turns:
            start_us, start = now_us(), time.monotonic()
            status, error = 0, ""
            try:
                async with asyncio.timeout(self.timeout_s):
                    status = await self._status(url, headers, body)
            except TimeoutError:
                error = f"no answer within {self.timeout_s:g} s"
            except AddressRefusedError as refusal:
                error = str(refusal)
            except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as failure:
                error = f"the connection failed: {failure or type(failure).__name__}"
            if status and not 200 <= status <= 299:
                error = f"the receiver answered with status {status}"
            taken_ms = round((time.monotonic() - start) * 1000)
            return Attempt(start_us, taken_ms, status, error[:_LONGEST_ERROR])

    async def _status(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        pool = self._pools[url.partition("://")[0]]
        async with pool.stream("POST", url, headers=list(headers.items()), content=body) as answer:
            return answer.status

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()
