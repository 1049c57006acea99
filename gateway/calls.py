"""One call at the door: its record, its refusal and its one line in the log."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import grpc
import structlog

from gateway.metadata_filter import request_id_of, to_client
from gateway.refusals import service_unavailable
from service_chassis.call_pipeline import CLIENT_GONE
from service_chassis.errors import StudbookError, message_too_large
from service_chassis.metrics_endpoint import count_call
from service_chassis.security_log import record_refusal
from service_chassis.status_details import DETAILS_KEY, abort_with, internal_error

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from grpc.aio import ServicerContext

    from service_chassis.caller import Metadata, Principal

_log = structlog.get_logger("studbook.calls")
Answer = TypeVar("Answer")


class Call:
    """What is known of a call while it runs.

    Attributes:
        path: Full path of the method.
        area: The service that answers, empty when there is none.
        principal: The caller, once it is known.
    """

    def __init__(self, path: str, area: str, context: ServicerContext[Any, Any]) -> None:
        self.path = path
        self.area = area
        self.context = context
        self.metadata: Metadata = tuple(context.invocation_metadata() or ())
        self.request_id = request_id_of(self.metadata)
        self.principal: Principal | None = None
        self._received = 0
        self._sent = 0
        self._start = time.perf_counter()

    def received(self, message: bytes, limit: int) -> None:
        """Count a message of the client.

        Raises:
            StudbookError: MESSAGE_TOO_LARGE.
        """
        self._received += len(message)
        if len(message) > limit:
            raise message_too_large(limit)

    def sent(self, message: bytes) -> None:
        """Count a message to the client."""
        self._sent += len(message)

    def log(self, code: str, **more: str) -> None:
        """Write the call's one line, and count it. Tokens and messages are no part of it."""
        seconds = time.perf_counter() - self._start
        # Callers can make up paths without end.
        count_call(self.path if self.area else "unknown", code, seconds)
        _log.info(
            "call",
            method=self.path[:256],
            code=code,
            ms=round(seconds * 1000, 2),
            received=self._received,
            sent=self._sent,
            request_id=self.request_id,
            **{"principal": self.principal.id if self.principal else "", **more},
        )


async def conduct(call: Call, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do the work of a call and end it in one place, whatever happens."""
    try:
        answer = await work
    except CLIENT_GONE as error:
        # grpc.aio has to hear of it, or it leaks the call.
        call.log("CANCELLED")
        raise asyncio.CancelledError from error
    except grpc.aio.AioRpcError as error:
        await _end_as_the_service_did(call, error)
    except StudbookError as error:
        await _refuse(call, error)
    except Exception as error:  # noqa: BLE001 - the last line of defence; the log has the rest
        _log.error("defect", request_id=call.request_id, exc_info=error)
        await _refuse(call, internal_error(call.request_id))
    call.log("OK")
    return answer


async def _refuse(call: Call, error: StudbookError) -> NoReturn:
    call.log(error.code.name, **record_refusal(error, call.principal))
    await abort_with(call.context, error, call.request_id)


def _was_cut_short(error: grpc.aio.AioRpcError) -> bool:
    """Whether the call ended while we were still sending, so that its end was not heard."""
    return (
        error.code() is grpc.StatusCode.INTERNAL and error.details() == "Internal error from Core"
    )


async def _end_as_the_service_did(call: Call, error: grpc.aio.AioRpcError) -> NoReturn:
    trailing: Any = error.trailing_metadata() or ()
    trailers = to_client(trailing)
    explained = any(key == DETAILS_KEY for key, _ in trailers)
    if not explained and (error.code() is grpc.StatusCode.UNAVAILABLE or _was_cut_short(error)):
        # Not an answer of the service but of the transport: there is nobody to answer.
        _log.warning("upstream_down", service=call.area, error=error.debug_error_string())
        await _refuse(call, service_unavailable(call.area))
    call.log(error.code().name, answered_by=call.area)
    await call.context.abort(error.code(), error.details() or "", trailers)
    raise AssertionError  # abort never returns
