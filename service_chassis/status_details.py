"""From an error to what a gRPC client sees: one place where calls are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from service_chassis.errors import Code, StudbookError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

ERROR_DOMAIN = "studbook.dev"
DETAILS_KEY = "grpc-status-details-bin"
STATUS_CODES = {code: grpc.StatusCode[code.name] for code in Code}
# gRPC drops trailers beyond 8 KiB, and with them the whole explanation.
_MOST_CONDITIONS = 20


def internal_error(request_id: str) -> StudbookError:
    """What a caller learns of a defect: where to look, and nothing of its insides."""
    return StudbookError(
        Code.INTERNAL,
        "INTERNAL",
        f"The server failed to answer; its log has the cause under request id {request_id}.",
        metadata={"request_id": request_id},
    )


def rpc_status(error: StudbookError, request_id: str) -> status_pb2.Status:
    """The error as `google.rpc.Status` with ErrorInfo and the other standard details."""
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=ERROR_DOMAIN, metadata=error.metadata
    )
    details: list[Message] = [info, error_details_pb2.RequestInfo(request_id=request_id)]
    if error.fields:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field, description=violation.description
                    )
                    for violation in error.fields[:_MOST_CONDITIONS]
                ]
            )
        )
    if error.conditions:
        details.append(
            error_details_pb2.PreconditionFailure(
                violations=[
                    error_details_pb2.PreconditionFailure.Violation(
                        type=condition.type,
                        subject=condition.subject,
                        description=condition.description,
                    )
                    for condition in error.conditions[:_MOST_CONDITIONS]
                ]
            )
        )
    if error.resource:
        details.append(error_details_pb2.ResourceInfo(resource_name=error.resource))
    if error.retry_after_s:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=error.code.value, message=error.message, details=[_packed(d) for d in details]
    )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """Reason and metadata of an error that a service answered with; None when none did."""
    trailers: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment] # pairs at run time
    for key, value in trailers:
        if key != DETAILS_KEY:
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return info
    return None


async def abort_with(
    context: grpc.aio.ServicerContext[Any, Any], error: StudbookError, request_id: str
) -> NoReturn:
    """End the call with the error. Raises, as `context.abort` does."""
    status = rpc_status(error, request_id)
    await context.abort(
        STATUS_CODES[error.code],
        error.message,
        trailing_metadata=((DETAILS_KEY, status.SerializeToString()),),
    )
    raise AssertionError  # abort never returns
