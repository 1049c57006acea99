"""Connections from one component to another, whose certificates are replaced while calls go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service_chassis.certificates import ClientCertificate

_log = structlog.get_logger("studbook.connections")
_SHOULD_STAND_AFTER_S = 10.0


class ServiceChannel:
    """A channel to another component, as stubs take it.

    When certificates are replaced, a connection is made with the new ones, and as soon as it stands
    calls begin on it. Until then they begin on the one before, so that certificates which the other
    side refuses do no harm before those in use expire. Calls under way stay where they are.

    Must be made inside an event loop.

    Args:
        address: Address of the other side, `host:port` or any gRPC target. With a certificate, the
            other side's has to name the host.
        options: Settings of the channel.
        certificate: With what to call; None: in plain text.
    """

    def __init__(
        self,
        address: str,
        options: Sequence[tuple[str, int | str]],
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._address = address
        self._options = [
            *options,
            # The other side is part of this installation, never behind a web proxy.
            ("grpc.enable_http_proxy", 0),
            # One that was restarted is found again within two seconds.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # So gRPC calls how long connecting may take: longer than busy or far machines need.
            ("grpc.min_reconnect_backoff_ms", 5000),
            # A dead connection is noticed; services allow a ping each 30 s.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Several replicas behind one name each get their share.
            ("grpc.lb_policy_name", "round_robin"),
        ]
        self._certificate = certificate
        self._renewal: asyncio.Task[None] | None = None
        self._current = self._open()
        if certificate is not None:
            certificate.when_renewed(self._renew)

    def _open(self) -> Any:
        if self._certificate is None:
            return grpc.aio.insecure_channel(self._address, self._options)
        credentials = self._certificate.credentials
        return grpc.aio.secure_channel(self._address, credentials, self._options)

    def _renew(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = asyncio.create_task(self._move_to(self._open()))

    async def _move_to(self, renewed: Any) -> None:
        try:
            async with asyncio.timeout(_SHOULD_STAND_AFTER_S):
                await renewed.channel_ready()
        except TimeoutError:
            _log.error("no_connection_with_new_certificates", address=self._address)
            await renewed.channel_ready()
        # The channel before is let go, not closed, which would cut off the calls that it has: it
        # ends with the last of them.
        self._current = renewed
        _log.info("connected_with_new_certificates", address=self._address)

    def _starter(self, kind: str, method: Any, of_stub: Any) -> Callable[..., Any]:
        def start(*call: Any, **more: Any) -> Any:
            # On the channel of this moment: stubs keep what starts their calls.
            return getattr(self._current, kind)(*method, **of_stub)(*call, **more)

        return start

    def unary_unary(self, *method: Any, **of_stub: Any) -> Callable[..., Any]:
        """What starts calls with one request and one answer."""
        return self._starter("unary_unary", method, of_stub)

    def unary_stream(self, *method: Any, **of_stub: Any) -> Callable[..., Any]:
        """What starts calls with one request and many answers."""
        return self._starter("unary_stream", method, of_stub)

    def stream_unary(self, *method: Any, **of_stub: Any) -> Callable[..., Any]:
        """What starts calls with many requests and one answer."""
        return self._starter("stream_unary", method, of_stub)

    def stream_stream(self, *method: Any, **of_stub: Any) -> Callable[..., Any]:
        """What starts calls with many requests and many answers."""
        return self._starter("stream_stream", method, of_stub)

    async def close(self) -> None:
        """Close the connection; calls under way are cut off."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        await self._current.close(None)
