"""How long a call may take when its client names no deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from service_chassis.method_access import Method

_UNARY_S = 30.0
_TRANSFER_S = 15 * 60.0
_CONVERSATION_S = 60 * 60.0
_ETERNITY_S = 10 * 365 * 86_400


def longest_s(method: Method) -> float:
    """Seconds after which a call without a deadline is given up."""
    if method.client_streaming and method.server_streaming:
        return _CONVERSATION_S
    return _TRANSFER_S if method.client_streaming or method.server_streaming else _UNARY_S


def time_left(context: ServicerContext[Any, Any]) -> float | None:
    """Seconds until the client's deadline, None when it named none."""
    remaining = context.time_remaining()
    # Without a deadline some versions of gRPC report none, others an eternity.
    return None if remaining is None or remaining > _ETERNITY_S else remaining
