"""The embedded development issuer, served by the gateway's process, and kept from doing harm."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from gateway.access_checks import AccessFileError
from gateway.dev_issuer.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.access_rules import AccessRules
    from gateway.dev_issuer.config import DevIssuerConfig

_STOP_S = 5


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the gateway, which stops this server itself."""
        yield


class DevIssuerServer:
    """Serves the development issuer on loopback.

    Args:
        config: The issuer's configuration.
    """

    def __init__(self, config: DevIssuerConfig) -> None:
        self._urls = {config.issuer} | ({config.ci.issuer} if config.ci else set())
        self._address = urlsplit(config.issuer)
        self._server = _Server(
            uvicorn.Config(
                create_app(config),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_STOP_S,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    def check(self, rules: AccessRules) -> None:
        """Refuse rules that trust a real issuer beside this one.

        Raises:
            AccessFileError: They do.
        """
        foreign = sorted(set(rules.issuers) - self._urls)
        if foreign:
            message = (
                f"the development issuer is on, so {', '.join(foreign)} cannot be an issuer as "
                "well: unset STUDBOOK_GATEWAY_DEV_ISSUER, or remove the other issuers from the "
                "access file"
            )
            raise AccessFileError(message)

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            SystemExit: The address cannot be bound.
        """
        # Its configuration admits loopback addresses only.
        host, port = self._address.hostname or "127.0.0.1", self._address.port or 80
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            message = f"The development issuer cannot listen on {host}:{port}: {error.strerror}"
            raise SystemExit(message) from None
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.is_up.wait()

    async def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
