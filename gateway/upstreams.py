"""Connections to the services behind the gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Mapping


def _options(message_bytes: int) -> list[tuple[str, int | str]]:
    return [
        # Sizes are limited where messages come in; what a service answers is passed on.
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 32 * 1024),
        # Only the client knows whether a call may be repeated.
        ("grpc.enable_retries", 0),
        # A service that was restarted is found again within two seconds.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # A dead connection is noticed; services allow a ping each 30 s.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Several replicas behind one name each get their share.
        ("grpc.lb_policy_name", "round_robin"),
        # What is on the other side is part of this installation, never behind a web proxy.
        ("grpc.enable_http_proxy", 0),
        ("grpc.http2.lookahead_bytes", message_bytes),
    ]


class Upstreams:
    """One channel for each area of the contracts.

    Args:
        addresses: Address (`host:port`, or any gRPC target) by area.
        message_bytes: Largest message that is expected.
    """

    def __init__(self, addresses: Mapping[str, str], message_bytes: int) -> None:
        self._channels = {
            area: grpc.aio.insecure_channel(address, options=_options(message_bytes))
            for area, address in addresses.items()
        }

    @property
    def areas(self) -> frozenset[str]:
        """The areas that have a channel."""
        return frozenset(self._channels)

    def channel(self, area: str) -> Any:
        """The `grpc.aio.Channel` to the service that answers an area.

        Without a type, because the published one knows no calls without serialisers.
        """
        return self._channels[area]

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(channel.close(None) for channel in self._channels.values()))
