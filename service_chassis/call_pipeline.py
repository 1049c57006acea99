"""What happens to every call before and after its handler.

Find out who calls, check the access rule of the contract on the decoded request, handle, turn
errors into status details, write one log line. One interceptor does all of it, so the order is
plain to read and a call pays for one layer only.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc
import structlog
from google.protobuf.message import DecodeError

from service_chassis.caller import Caller, set_current_caller
from service_chassis.deadlines import longest_s, time_left
from service_chassis.errors import (
    StudbookError,
    deadline_exceeded,
    message_invalid,
    message_too_large,
    required_field,
)
from service_chassis.method_access import Method, method_table, resource_names
from service_chassis.metrics_endpoint import count_call
from service_chassis.request_message import LONGEST_WAIT_S, only_message
from service_chassis.resource_names import check_length
from service_chassis.security_log import record_refusal
from service_chassis.status_details import abort_with, internal_error
from service_chassis.stream_start import send_initial_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from grpc.aio import ServicerContext

    from service_chassis.caller import Metadata
    from service_chassis.stream_pace import StreamPace

_log = structlog.get_logger("studbook.calls")
# A client may name its request, for tracing; anything unreasonable is replaced.
REQUEST_ID_KEY = "x-request-id"
STREAM_ACCEPTED = (("studbook-stream", "accepted"),)
# Raised in a handler whose client went away or let its deadline pass; the latter of the two where
# a message that could not be sent was the first sign of it.
CLIENT_GONE = (asyncio.CancelledError, grpc.aio.InternalError)
_LONGEST_REQUEST_ID = 64


def authorise(method: Method, caller: Caller, request: Any, *, first: bool = True) -> None:
    """Check the access rule of a method on a decoded request.

    Raises:
        StudbookError: PERMISSION_MISSING; FIELD_REQUIRED when the request does not say what it is
            about; RESOURCE_NAME_INVALID when it says so at far too great length.
    """
    rule = method.rule
    if rule.public or rule.any_caller or not method.resource_path:
        return
    names = resource_names(method, request)
    if not names and first:
        raise required_field(rule.resource_field, "it says what the call is about")
    for name in names:
        check_length(name, rule.resource_field)
        if rule.lists_children:
            allowed = caller.may_below(rule.permission, name)
        else:
            allowed = caller.may(rule.permission, name)
        if not allowed:
            raise caller.refusal(rule.permission, name)


class Callers(Protocol):
    """Tells who makes a call."""

    async def caller(self, method: Method, metadata: Metadata) -> Caller:
        """The caller, with the grants that matter for the method.

        Raises:
            StudbookError: It is not known, or may not call the method at all.
        """


class UnderWay(Protocol):
    """A call that goes on, and may be ended."""

    def has_message(self) -> None:
        """The call has its one message; or it is one with streams, and that says nothing."""


@dataclass(frozen=True)
class Door:
    """That clients call here themselves, with no gateway in between.

    Attributes:
        areas: The areas whose methods are answered; others are somebody else's.
        message_bytes: Largest message that is accepted.
        pace: What is expected of the clients of streams.
        under_way: The context in which a caller's call with its metadata goes on, which may refuse
            the call before it, and end it.
    """

    areas: frozenset[str]
    message_bytes: int
    pace: StreamPace
    under_way: Callable[[Method, Caller, Metadata], AbstractContextManager[UnderWay]]


class CallPipeline(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # not generic at run time
    """The interceptor that every service of Studbook runs behind.

    Args:
        callers: Tells who calls.
        door: Set where the service is mounted in the gateway; by default it is behind it.
    """

    def __init__(self, callers: Callers, door: Door | None = None) -> None:
        self._callers = callers
        self._door = door
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Wrap the handler of a contract's method; health and reflection pass unchanged."""
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            method = method_table().get(path)
            if handler is None or method is None or not self._answers(method):
                return handler
            wrapped = self._wrapped[path] = self._wrap(method, handler)
        return wrapped

    def _answers(self, method: Method) -> bool:
        return self._door is None or method.area in self._door.areas

    def _wrap(self, method: Method, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour = handler.unary_unary or handler.unary_stream
        behaviour = behaviour or handler.stream_unary or handler.stream_stream

        # grpc.aio looks at the kind of function to know how to call it.
        async def one(requests: AsyncIterator[Any], context: ServicerContext[Any, Any]) -> Any:
            call = self._call(method, context)
            try:
                async with call.time_limit():
                    caller = await self._admit(call)
                    with self._under_way(call, caller) as under_way:
                        admitted = await _admitted(call, caller, requests)
                        if under_way is not None:
                            under_way.has_message()
                        response = await behaviour(admitted, context)
            except (Exception, asyncio.CancelledError) as error:
                await call.fail(error)
                raise
            call.log_answered()
            return response

        async def many(requests: AsyncIterator[Any], context: ServicerContext[Any, Any]) -> None:
            call = self._call(method, context)
            try:
                # Responses are written here, not yielded: the time limit has to end a call whose
                # client reads too slowly as well.
                async with call.time_limit():
                    caller = await self._admit(call)
                    with self._under_way(call, caller):
                        admitted = await _admitted(call, caller, requests)
                        async with aclosing(behaviour(admitted, context)) as responses:
                            async for response in responses:
                                await call.accept_stream()
                                await call.write(response)
            except (Exception, asyncio.CancelledError) as error:
                await call.fail(error)
                raise
            call.log("OK")

        # All take streams: see `request_message`.
        read = self._reader(method, handler.request_deserializer)
        if method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(many, read, handler.response_serializer)
        return grpc.stream_unary_rpc_method_handler(one, read, handler.response_serializer)

    def _reader(
        self, method: Method, deserialise: Callable[[bytes], Any]
    ) -> Callable[[bytes], Any]:
        limit = None if self._door is None else self._door.message_bytes

        # An error raised here would reach the client without a word of explanation.
        def read(data: bytes) -> Any:
            if limit is not None and len(data) > limit:
                return _Unread(message_too_large(limit))
            try:
                return deserialise(data)
            except DecodeError:
                return _Unread(message_invalid(f"The message is no request of {method.path}."))

        return read

    def _call(self, method: Method, context: ServicerContext[Any, Any]) -> _Call:
        return _Call(method, context, self._door)

    def _under_way(self, call: _Call, caller: Caller) -> AbstractContextManager[UnderWay | None]:
        if self._door is None:
            return nullcontext()
        return self._door.under_way(call.method, caller, call.metadata)

    async def _admit(self, call: _Call) -> Caller:
        """Who calls, and may they call the method at all."""
        caller = call.caller = await self._callers.caller(call.method, call.metadata)
        set_current_caller(caller)
        return caller


@dataclass(frozen=True)
class _Unread:
    """Stands for a message that was not decoded, and says why."""

    refusal: StudbookError


async def _admitted(call: _Call, caller: Caller, requests: AsyncIterator[Any]) -> Any:
    """The request, checked; for a stream, the requests, to be checked as they come."""
    if call.method.client_streaming:
        return _checked(call, caller, call.in_time(requests))
    request = await only_message(requests, call.longest_wait_s)
    _check(call.method, caller, request)
    return request


def _check(method: Method, caller: Caller, request: Any, *, first: bool = True) -> None:
    if isinstance(request, _Unread):
        raise request.refusal
    authorise(method, caller, request, first=first)


async def _checked(call: _Call, caller: Caller, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    first = True
    async for request in requests:
        _check(call.method, caller, request, first=first)
        yield request
        # Whoever asks for the second message has accepted the first.
        await call.accept_stream()
        first = False


class _Call:
    """One call, for its log line and its refusal."""

    def __init__(
        self, method: Method, context: ServicerContext[Any, Any], door: Door | None
    ) -> None:
        self.method = method
        self.context = context
        self.caller: Caller | None = None
        # The gateway sees to the pace of those that it passes on.
        self._pace = None if door is None else door.pace
        self.longest_wait_s = LONGEST_WAIT_S if door is None else door.pace.message_s
        self._announces = method.client_streaming and door is None
        # Only streams begin with a word of their own.
        self._accepted = not (self._announces or method.server_streaming)
        self.metadata: Metadata = tuple(context.invocation_metadata() or ())
        self._start = time.perf_counter()
        self.request_id = _request_id(self.metadata)

    def time_limit(self) -> asyncio.Timeout:
        """Ends a call whose client named no deadline; gRPC itself sees to the others."""
        limited = time_left(self.context) is None
        return asyncio.timeout(longest_s(self.method) if limited else None)

    def in_time(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The client's messages, where it calls here itself: within the time it has for each."""
        return requests if self._pace is None else self._pace.messages(self.method, requests)

    async def write(self, response: Any) -> None:
        """Send one of many answers."""
        if self._pace is None:
            await self.context.write(response)
        else:
            await self._pace.write(self.context, response)

    async def accept_stream(self) -> None:
        """Begin the answers, once; tell the gateway that the first message was accepted.

        The gateway sends no more before it sees this sign: of a call that ends while its peer is
        still sending, the reason can get lost.
        """
        if not self._accepted:
            self._accepted = True
            announced = STREAM_ACCEPTED if self._announces else ()
            await send_initial_metadata(self.context, announced)

    async def fail(self, error: BaseException) -> None:
        """Log a failed call and refuse it in the caller's terms; returns when it was refused."""
        if isinstance(error, CLIENT_GONE):
            # Clean-up is the handler's; grpc.aio has to hear of it, or it leaks the call.
            self.log("CANCELLED")
            raise asyncio.CancelledError from error
        if isinstance(error, grpc.aio.AbortError):
            return
        if isinstance(error, StudbookError):
            shown = error
        elif isinstance(error, TimeoutError):
            shown = deadline_exceeded(longest_s(self.method))
        else:
            shown = internal_error(self.request_id)
            _log.error("defect", request_id=self.request_id, exc_info=error)
        principal = self.caller.principal if self.caller else None
        self.log(shown.code.name, **record_refusal(shown, principal))
        await abort_with(self.context, shown, self.request_id)

    def log_answered(self) -> None:
        """Write the call's one line when its answer is on its way: nobody waits for the log."""
        asyncio.get_running_loop().call_soon(self.log, "OK")

    def log(self, code: str, **more: str) -> None:
        """Write the call's one line, and count it."""
        seconds = time.perf_counter() - self._start
        count_call(self.method.path, code, seconds)
        _log.info(
            "call",
            method=self.method.path,
            code=code,
            ms=round(seconds * 1000, 2),
            request_id=self.request_id,
            **{"principal": self.caller.principal.id if self.caller else "", **more},
        )


def _request_id(metadata: tuple[tuple[str, str | bytes], ...]) -> str:
    for key, value in metadata:
        if key == REQUEST_ID_KEY:
            text = str(value)
            if 0 < len(text) <= _LONGEST_REQUEST_ID and text.isprintable() and text.isascii():
                return text
    return uuid.uuid4().hex
