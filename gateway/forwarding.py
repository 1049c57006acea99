"""Passing calls on: bytes in, bytes out, for all four kinds of call.

Messages are not decoded. What a client learns of a call (status, details, trailers) is what the
service said; what the gateway itself refuses is told in the same form.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from gateway.admission import admit
from gateway.calls import Call, conduct
from gateway.metadata_filter import to_client, to_service
from gateway.refusals import unknown_method
from service_chassis.call_pipeline import STREAM_ACCEPTED
from service_chassis.deadlines import longest_s, time_left
from service_chassis.errors import StudbookError
from service_chassis.method_access import Method, method_table
from service_chassis.request_message import only_message
from service_chassis.stream_start import send_initial_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from grpc.aio import ServicerContext

    from gateway.admission import AssertionDesk
    from gateway.authentication import Authenticator
    from gateway.turnstile import Turnstile, UnderWay
    from gateway.upstreams import Upstreams
    from service_chassis.caller import Metadata
    from service_chassis.stream_pace import StreamPace

# The service gets a little less time than the client gave, so that its answer can still come back.
_MARGIN_S = 0.05
_SHORTEST_S = 0.001


class Forwarder(grpc.GenericRpcHandler):  # type: ignore[type-arg] # not generic at run time
    """Answers the methods of the services behind the gateway by asking them.

    Any other method is refused: no contract has it.

    Args:
        authenticator: Tells who calls.
        turnstile: Keeps count of everybody's calls.
        desk: Admits callers and hands out assertions.
        upstreams: The services.
        message_bytes: Largest message that is accepted from a client.
        pace: What is expected of the clients of streams.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        turnstile: Turnstile,
        desk: AssertionDesk,
        upstreams: Upstreams,
        message_bytes: int,
        pace: StreamPace,
    ) -> None:
        self._authenticator = authenticator
        self._turnstile = turnstile
        self._desk = desk
        self._upstreams = upstreams
        self._message_bytes = message_bytes
        self._pace = pace
        self._handlers = {
            path: self._handler(method)
            for path, method in method_table().items()
            if method.area in upstreams.areas
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """The handler of a method; for one that no contract has, the handler that says so."""
        path = handler_call_details.method
        handler = self._handlers.get(path)
        # A handler for streams takes any kind of call.
        return handler or grpc.stream_stream_rpc_method_handler(partial(_refuse_unknown, path))

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[bytes, bytes]:
        # All take streams: see `request_message`.
        if method.server_streaming:
            many = self._stream_stream if method.client_streaming else self._unary_stream
            return grpc.stream_stream_rpc_method_handler(partial(many, method))
        one = self._stream_unary if method.client_streaming else self._unary_unary
        return grpc.stream_unary_rpc_method_handler(partial(one, method))

    async def _unary_unary(
        self,
        method: Method,
        requests: AsyncIterator[bytes],
        context: ServicerContext[bytes, bytes],
    ) -> bytes:
        call = Call(method.path, method.area, context)

        async def work() -> bytes:
            metadata, under_way = await self._admit(method, call)
            start = self._upstreams.channel(method.area).unary_unary(method.path)
            with under_way as admitted:
                request = await only_message(requests, self._pace.message_s)
                call.received(request, self._message_bytes)
                if admitted is not None:
                    admitted.has_message()
                upstream = start(request, timeout=time_for(method, context), metadata=metadata)
                try:
                    return await _single_answer(call, upstream)
                finally:
                    upstream.cancel()

        return await conduct(call, work())

    async def _stream_unary(
        self,
        method: Method,
        requests: AsyncIterator[bytes],
        context: ServicerContext[bytes, bytes],
    ) -> bytes:
        call = Call(method.path, method.area, context)

        async def work() -> bytes:
            metadata, under_way = await self._admit(method, call)
            start = self._upstreams.channel(method.area).stream_unary(method.path)
            with under_way:
                upstream = start(timeout=time_for(method, context), metadata=metadata)
                coming = self._pace.messages(method, requests)
                async with _RequestPump(call, coming, upstream, self._message_bytes):
                    return await _single_answer(call, upstream)

        return await conduct(call, work())

    async def _unary_stream(
        self,
        method: Method,
        requests: AsyncIterator[bytes],
        context: ServicerContext[bytes, bytes],
    ) -> None:
        call = Call(method.path, method.area, context)

        async def work() -> None:
            metadata, under_way = await self._admit(method, call)
            start = self._upstreams.channel(method.area).unary_stream(method.path)
            with under_way:
                request = await only_message(requests, self._pace.message_s)
                call.received(request, self._message_bytes)
                upstream = start(request, timeout=time_for(method, context), metadata=metadata)
                try:
                    await _pass_answers(call, upstream, self._pace)
                finally:
                    upstream.cancel()

        await conduct(call, work())

    async def _stream_stream(
        self,
        method: Method,
        requests: AsyncIterator[bytes],
        context: ServicerContext[bytes, bytes],
    ) -> None:
        call = Call(method.path, method.area, context)

        async def work() -> None:
            metadata, under_way = await self._admit(method, call)
            start = self._upstreams.channel(method.area).stream_stream(method.path)
            with under_way:
                upstream = start(timeout=time_for(method, context), metadata=metadata)
                coming = self._pace.messages(method, requests)
                async with _RequestPump(call, coming, upstream, self._message_bytes):
                    await _pass_answers(call, upstream, self._pace)

        await conduct(call, work())

    async def _admit(
        self, method: Method, call: Call
    ) -> tuple[Metadata, AbstractContextManager[UnderWay | None]]:
        """The metadata for the service, once the caller is known and may call the method.

        With it comes the context in which the call goes on.
        """
        if method.rule.public:
            # There is nobody to vouch for.
            return to_service(call.metadata, call.request_id, ""), nullcontext()
        caller = await self._authenticator.authenticate(call.metadata, method.path)
        call.principal = caller.identity.principal
        self._turnstile.count(call.principal)
        assertion = self._desk.assertion(method, caller)
        return (
            to_service(call.metadata, call.request_id, assertion),
            self._turnstile.under_way(method, admit(method, caller), call.metadata),
        )


def time_for(method: Method, context: ServicerContext[Any, Any]) -> float:
    """Seconds that the service has for a call."""
    remaining = time_left(context)
    if remaining is None:
        return longest_s(method)
    return max(remaining - _MARGIN_S, _SHORTEST_S)


async def _refuse_unknown(
    path: str, _requests: AsyncIterator[bytes], context: ServicerContext[bytes, bytes]
) -> None:
    async def refuse() -> None:
        raise unknown_method(path)

    await conduct(Call(path, "", context), refuse())


async def _single_answer(call: Call, upstream: Any) -> bytes:
    response: bytes = await upstream
    initial = to_client(await upstream.initial_metadata())
    if initial:
        await call.context.send_initial_metadata(initial)
    call.context.set_trailing_metadata(to_client(await upstream.trailing_metadata()))
    call.sent(response)
    return response


async def _pass_answers(call: Call, upstream: Any, pace: StreamPace) -> None:
    initial = to_client(await upstream.initial_metadata())
    await send_initial_metadata(call.context, initial)
    # The next message is read once this one is written, so a slow client slows the service.
    async for response in upstream:
        await pace.write(call.context, response)
        call.sent(response)
    call.context.set_trailing_metadata(to_client(await upstream.trailing_metadata()))


class _RequestPump:
    """Passes a client's messages on while the answer is awaited; ends the upstream call with it."""

    def __init__(
        self, call: Call, requests: AsyncIterator[bytes], upstream: Any, message_bytes: int
    ) -> None:
        self._call = call
        self._requests = requests
        self._upstream = upstream
        self._message_bytes = message_bytes
        self._refusal: StudbookError | None = None
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._upstream.cancel()
        # Our own cancelling of the upstream call must not look like the client's.
        if self._refusal is not None and kind is asyncio.CancelledError:
            raise self._refusal
        if not self._task.cancelled() and (defect := self._task.exception()):
            raise defect

    async def _is_accepted(self) -> bool:
        """Wait for the service's word on the first message.

        Sending on into a call that is being refused would lose the reason of the refusal.
        """
        initial: Metadata = tuple(await self._upstream.initial_metadata() or ())
        return STREAM_ACCEPTED[0] in initial

    async def _run(self) -> None:
        try:
            first = True
            async for message in self._requests:
                self._call.received(message, self._message_bytes)
                await self._upstream.write(message)
                if first and not await self._is_accepted():
                    # The service has ended the call, or is about to.
                    return
                first = False
            # The stream of a client that went away ends like that of one that is done.
            if not self._call.context.cancelled():
                await self._upstream.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The service ended the call first; how it did is what the client is told.
            return
        except StudbookError as refusal:
            self._refusal = refusal
            self._upstream.cancel()
        except BaseException:
            self._upstream.cancel()
            raise
