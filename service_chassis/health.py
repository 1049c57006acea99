"""The health service, which anybody may ask, and few at a time may watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from service_chassis.request_message import for_anybody

if TYPE_CHECKING:
    from grpc.aio import ServicerContext
    from grpc_health.v1 import health_pb2


class Health(health.aio.HealthServicer):  # type: ignore[name-defined,misc] # not re-exported
    """Says whether the server serves.

    Args:
        most_watches: How many may watch. Balancers watch, one connection each. A watch lasts, and
            needs no token: without a limit, watches could be all that a server has to do.
        wait_s: How long a call's message may take to come.
    """

    def __init__(self, most_watches: int, wait_s: float) -> None:
        super().__init__()
        self._most_watches = most_watches
        self._wait_s = wait_s
        self._watches = 0

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer the methods of `grpc.health.v1.Health` on a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self, for_anybody(server, self._wait_s))

    async def Watch(  # noqa: N802 - the contract names its methods
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext[Any, Any]
    ) -> None:
        """Tell the state now and whenever it changes."""
        if self._watches >= self._most_watches:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._most_watches} watch already; ask with Check.",
            )
        self._watches += 1
        try:
            await super().Watch(request, context)
        finally:
            self._watches -= 1
