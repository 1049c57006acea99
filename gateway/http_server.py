"""An ASGI application served by the gateway's process, in its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from service_chassis.followed_files import FollowedFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from service_chassis.certificates import CertificatePair

# How long a connection may stand without a request that is complete up to its body.
LONGEST_HEAD_S = 10.0
_STOP_S = 5
_LARGEST_HEAD = 32 * 1024
_MOST_AT_A_TIME = 512


class PunctualProtocol(H11Protocol):
    """HTTP/1.1 with those who do not get round to asking sent away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the clock."""
        super().connection_made(transport)
        self.loop.call_later(LONGEST_HEAD_S, self._look)

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.loop.call_later(LONGEST_HEAD_S, self._look)


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


class HttpServer:
    """Serves an application.

    Args:
        app: The application.
        what: What it is, for messages.
        host: Address to serve on.
        port: And its port; 0 for any.
        certificate: For TLS, and followed; plain text without.
    """

    def __init__(
        self,
        app: ASGIApp,
        what: str,
        host: str,
        port: int,
        certificate: CertificatePair | None = None,
    ) -> None:
        self._what = what
        self._address = host, port
        self.port = port
        self._certificate = certificate
        self._server = _Server(
            uvicorn.Config(
                app,
                http=PunctualProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                # What a client says of others in front of it is not believed.
                proxy_headers=False,
                limit_concurrency=_MOST_AT_A_TIME,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
                timeout_graceful_shutdown=_STOP_S,
                ssl_certfile=certificate.certificate if certificate else None,
                ssl_keyfile=certificate.private_key if certificate else None,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self.certificate_files: FollowedFiles | None = None
        self._watching: asyncio.Task[NoReturn] | None = None

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            SystemExit: The address cannot be bound.
        """
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            message = f"{self._what} cannot listen on {host}:{port}: {error.strerror}"
            raise SystemExit(message) from None
        self.port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.is_up.wait()
        if self._certificate is not None:
            pair = self._certificate
            self.certificate_files = FollowedFiles(
                "web_certificate",
                (pair.certificate, pair.private_key),
                lambda: self._use(pair),
            )
            self._watching = asyncio.create_task(self.certificate_files.watch())

    def _use(self, pair: CertificatePair) -> None:
        pair.read("web_certificate")
        if self._server.config.ssl is not None:
            self._server.config.ssl.load_cert_chain(pair.certificate, pair.private_key)

    async def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._watching is not None:
            self._watching.cancel()
        if self._serving is not None:
            await self._serving
