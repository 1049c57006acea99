"""Connections to the services behind the gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from service_chassis.service_channel import ServiceChannel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.certificates import ClientCertificate


def _options(message_bytes: int) -> list[tuple[str, int | str]]:
    return [
        # Sizes are limited where messages come in; what a service answers is passed on.
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 32 * 1024),
        # Only the client knows whether a call may be repeated.
        ("grpc.enable_retries", 0),
        ("grpc.http2.lookahead_bytes", message_bytes),
    ]


class Upstreams:
    """One channel for each area of the contracts.

    Args:
        addresses: Address (`host:port`, or any gRPC target) by area.
        message_bytes: Largest message that is expected.
        certificate: With what services are called; None: in plain text.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        message_bytes: int,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._channels = {
            area: ServiceChannel(address, _options(message_bytes), certificate)
            for area, address in addresses.items()
        }

    @property
    def areas(self) -> frozenset[str]:
        """The areas that have a channel."""
        return frozenset(self._channels)

    def channel(self, area: str) -> Any:
        """The channel to the service that answers an area.

        Without a type, because stubs ask for a `grpc.aio.Channel`.
        """
        return self._channels[area]

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
