"""Cutting off clients that make calls and do not take the answers.

A call is over for gRPC only when its end has gone out to the client, and HTTP/2 lets the client say
when that may be. One that never does, though it needs no more than a call that anybody may make,
holds a place among the calls that the server takes on, and no means of gRPC's ends such a call
while its connection stands. So the connection is closed.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

import grpc
import structlog

from service_chassis.method_access import method_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from grpc.aio import ServicerContext

_log = structlog.get_logger("studbook.access")
_SWEEP_S = 1.0
# With half of all places taken the others are worth more than the slowest lines.
_HURRIED_S = 10.0
Peer = tuple[str, int]


class UntakenAnswers(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # not generic at run time
    """Looks after the calls of a server until their clients have taken how they ended.

    Args:
        patience_s: How long a client may leave the end of a call untaken.
        places: How many calls the server takes on.
        port: Tells the port that the server listens on.
        clock: A monotonic clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        patience_s: float,
        places: int,
        port: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s = patience_s
        self._places = places
        self._port = port
        self._clock = clock
        # When the end of a call was seen to be untaken; None while the call goes on.
        self._calls: dict[ServicerContext[Any, Any], float | None] = {}
        self._looked_after: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Look after a call; what it is about does not matter."""
        path = handler_call_details.method
        known = self._looked_after.get(path)
        if known is None:
            known = self._look_after(await continuation(handler_call_details))
            # Callers can make up paths without end.
            if path in method_table():
                self._looked_after[path] = known
        return known

    def _look_after(
        self, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour = handler and (handler.stream_stream or handler.stream_unary)
        # All but reflection is of this kind.
        if not inspect.iscoroutinefunction(behaviour):
            return handler

        async def watched(requests: Any, context: Any) -> Any:
            self._calls[context] = None
            context.add_done_callback(self._forget)
            return await behaviour(requests, context)

        read, write = handler.request_deserializer, handler.response_serializer
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(watched, read, write)
        return grpc.stream_unary_rpc_method_handler(watched, read, write)

    def _forget(self, context: ServicerContext[Any, Any]) -> None:
        del self._calls[context]

    async def sweep(self) -> None:
        """Close the connections whose clients have left the end of a call untaken for too long."""
        now = self._clock()
        crowded = len(self._calls) * 2 > self._places
        patience_s = min(self._patience_s, _HURRIED_S) if crowded else self._patience_s
        late: set[str] = set()
        for context, since in self._calls.items():
            if since is not None and now - since >= patience_s:
                late.add(context.peer())
            elif since is None and context.done():
                self._calls[context] = now
        if late:
            closed = await asyncio.to_thread(_close, late, self._port())
            _log.warning("answers_not_taken", connections=len(late), closed=closed)

    async def watch(self, pause_s: float = _SWEEP_S) -> NoReturn:
        """Sweep every now and then, for ever."""
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - the next sweep may succeed
                _log.error("defect", exc_info=error)


def _close(peers: set[str], port: int) -> int:
    """Close the connections that these peers have with a port of this process; how many."""
    wanted = {_address(peer) for peer in peers}
    closed = 0
    for descriptor in Path("/dev/fd").iterdir():
        try:
            # A second descriptor, lest the first becomes another's while it is looked at.
            connection = socket.fromfd(int(descriptor.name), socket.AF_INET6, socket.SOCK_STREAM)
        except OSError:
            continue
        with connection:
            if _is_between(connection, wanted, port):
                connection.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def _is_between(connection: socket.socket, peers: set[Peer], port: int) -> bool:
    try:
        peer, own = connection.getpeername(), connection.getsockname()
    except OSError:  # no socket, or one that is not connected
        return False
    # Those of other families have no address.
    return isinstance(peer, tuple) and own[1] == port and _plain(peer[0], peer[1]) in peers


def _address(peer: str) -> Peer:
    """Address and port of a peer as gRPC names it: `ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711`."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    return _plain(host.strip("[]"), int(port))


def _plain(host: str, port: int) -> Peer:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), port
