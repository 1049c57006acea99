"""The one message of a call that is no stream, read once it is known who calls.

gRPC would read it before it calls a handler: whoever sends headers and no message would then be
waited for without being asked for a token, for as long as the connection lasts, and a few thousand
such calls are all that a server takes on. So every method is served as one that takes a stream, and
those that anybody may call are given little time.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc

from service_chassis.errors import StudbookError, message_invalid, message_late
from service_chassis.status_details import abort_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from grpc.aio import ServicerContext

Message = TypeVar("Message")
# A message may have megabytes, and come over a slow line.
LONGEST_WAIT_S = 30.0


async def only_message(
    messages: AsyncIterator[Message], longest_wait_s: float = LONGEST_WAIT_S
) -> Message:
    """The message of a call.

    Args:
        messages: What the client sends. Whatever it sends after the first message is not read.
        longest_wait_s: How long it may take.

    Raises:
        StudbookError: MESSAGE_INVALID when there is none, MESSAGE_LATE.
    """
    try:
        async with asyncio.timeout(longest_wait_s):
            async for message in messages:
                return message
    except TimeoutError:
        raise message_late(longest_wait_s) from None
    raise message_invalid("The call ended before its message was whole; send one.")


def for_anybody(server: grpc.aio.Server, longest_wait_s: float) -> grpc.aio.Server:
    """A server to add services to that anybody may call: their messages are waited for shortly.

    Args:
        server: The server that answers.
        longest_wait_s: How long a message may take; what anybody may call takes small ones.

    Returns:
        What generated code takes in place of a server, and good for nothing else.
    """
    return cast("grpc.aio.Server", _ForAnybody(server, longest_wait_s))


class _ForAnybody:
    def __init__(self, server: grpc.aio.Server, longest_wait_s: float) -> None:
        self._server = server
        self._longest_wait_s = longest_wait_s

    def add_generic_rpc_handlers(
        self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]
    ) -> None:
        self._server.add_generic_rpc_handlers(
            [_Prompt(handler, self._longest_wait_s) for handler in handlers]
        )

    def add_registered_method_handlers(self, _service: str, _handlers: Mapping[str, Any]) -> None:
        """Leave them to those that the other method was given."""


class _Prompt(grpc.GenericRpcHandler):  # type: ignore[type-arg] # not generic at run time
    def __init__(self, handler: grpc.GenericRpcHandler[Any, Any], longest_wait_s: float) -> None:
        self._handler = handler
        self._longest_wait_s = longest_wait_s
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        if path not in self._wrapped:
            found: Any = self._handler.service(handler_call_details)
            if found is None:
                return None
            self._wrapped[path] = (
                found if found.request_streaming else _taking_stream(found, self._longest_wait_s)
            )
        return self._wrapped[path]


def _taking_stream(handler: Any, longest_wait_s: float) -> grpc.RpcMethodHandler[Any, Any]:
    soon = partial(_soon, longest_wait_s=longest_wait_s)

    async def one(messages: AsyncIterator[Any], context: ServicerContext[Any, Any]) -> Any:
        return await handler.unary_unary(await soon(messages, context), context)

    async def many(messages: AsyncIterator[Any], context: ServicerContext[Any, Any]) -> None:
        await handler.unary_stream(await soon(messages, context), context)

    read, write = handler.request_deserializer, handler.response_serializer
    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(many, read, write)
    return grpc.stream_unary_rpc_method_handler(one, read, write)


async def _soon(
    messages: AsyncIterator[Message], context: ServicerContext[Any, Any], longest_wait_s: float
) -> Message:
    try:
        return await only_message(messages, longest_wait_s)
    except StudbookError as refusal:
        await abort_with(context, refusal, "")
        raise
