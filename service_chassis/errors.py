"""Errors that a caller can do something about.

Domain code raises these; `status_details` turns them into `google.rpc.Status` in one place.
Each carries a stable reason from `protos/studbook/errors/v1/error_reason.proto` and, as metadata,
every value that its message mentions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Code(Enum):
    """The gRPC status codes that Studbook answers with, by canonical number."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that is wrong, and how to put it right."""

    field: str
    description: str


@dataclass(frozen=True)
class UnmetCondition:
    """One condition that did not hold: its kind, the subject it is about, and what was found."""

    type: str
    subject: str
    description: str


@dataclass(eq=False)
class StudbookError(Exception):
    """Base of all errors that reach a caller.

    Attributes:
        code: gRPC status code.
        reason: Name in `ErrorReason`, without its prefix.
        message: What was wrong, with which value, and what to do. One or two sentences.
        metadata: Every value the message mentions, by the keys that `ErrorReason` documents.
        fields: The request fields at fault, for INVALID_ARGUMENT.
        conditions: The conditions that did not hold, for FAILED_PRECONDITION.
        resource: Name of the resource at fault, for NOT_FOUND and ALREADY_EXISTS.
        retry_after_s: Seconds after which a retry makes sense, for UNAVAILABLE
            and RATE_LIMITED.
        for_log: What the log says besides, and the caller is not told.
    """

    code: Code
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    fields: tuple[FieldViolation, ...] = ()
    conditions: tuple[UnmetCondition, ...] = ()
    resource: str = ""
    retry_after_s: float = 0.0
    for_log: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The message, for logs and tracebacks."""
        return self.message


# Values are quoted in messages; gRPC drops messages beyond a few kilobytes.
_LONGEST_QUOTE = 120


def quote(value: object) -> str:
    """The value as it may stand in a message: on one line, in quotes, shortened."""
    text = str(value)
    short = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    return '"' + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short) + '"'


def _plain(value: object) -> str:
    return quote(value)[1:-1]


def invalid_field(
    name: str, value: object, remedy: str, *, reason: str = "FIELD_INVALID", **metadata: str
) -> StudbookError:
    """INVALID_ARGUMENT for one field: names the field, the value and the remedy."""
    return StudbookError(
        Code.INVALID_ARGUMENT,
        reason,
        f"{name} is {quote(value)}; {remedy}.",
        metadata={"field": name, "value": _plain(value), **metadata},
        fields=(FieldViolation(name, remedy),),
    )


def required_field(name: str, remedy: str = "it must be set") -> StudbookError:
    """INVALID_ARGUMENT for a field that is required and empty."""
    return StudbookError(
        Code.INVALID_ARGUMENT,
        "FIELD_REQUIRED",
        f"{name} is empty; {remedy}.",
        metadata={"field": name},
        fields=(FieldViolation(name, remedy),),
    )


def not_found(resource: str, hint: str = "") -> StudbookError:
    """NOT_FOUND for a resource name."""
    message = f"{_plain(resource)} does not exist" + (f"; {hint}." if hint else ".")
    return StudbookError(
        Code.NOT_FOUND,
        "NOT_FOUND",
        message,
        metadata={"resource": _plain(resource)},
        resource=resource,
    )


def already_exists(
    resource: str, hint: str, *, reason: str = "ALREADY_EXISTS", **metadata: str
) -> StudbookError:
    """ALREADY_EXISTS for a resource name; the hint says what to do instead."""
    return StudbookError(
        Code.ALREADY_EXISTS,
        reason,
        f"{_plain(resource)} exists already; {hint}.",
        metadata={"resource": _plain(resource), **metadata},
        resource=resource,
    )


def failed_precondition(reason: str, subject: str, message: str, **metadata: str) -> StudbookError:
    """FAILED_PRECONDITION with one condition; the message says what would have to hold."""
    return StudbookError(
        Code.FAILED_PRECONDITION,
        reason,
        message,
        metadata=metadata,
        conditions=(UnmetCondition(reason, subject, message),),
    )


def etag_mismatch(resource: str, current: str) -> StudbookError:
    """ABORTED because the resource changed since the caller read it."""
    return StudbookError(
        Code.ABORTED,
        "ETAG_MISMATCH",
        f"{resource} was changed by somebody else since you read it; read it again and repeat.",
        metadata={"resource": resource, "etag": current},
    )


def permission_missing(
    permission: str, resource: str, principal: str, roles: str = ""
) -> StudbookError:
    """PERMISSION_DENIED that says which permission is missing, where, and which roles have it."""
    hint = f" Roles that contain it: {roles}." if roles else ""
    return StudbookError(
        Code.PERMISSION_DENIED,
        "PERMISSION_MISSING",
        f"{principal} lacks the permission {permission} on {_plain(resource)}.{hint}",
        metadata={
            "permission": permission,
            "resource": _plain(resource),
            "principal": principal,
            "roles": roles,
        },
    )


def permission_denied_by_rule(permission: str, resource: str, principal: str) -> StudbookError:
    """PERMISSION_DENIED, because a denial takes the permission away from the caller."""
    return StudbookError(
        Code.PERMISSION_DENIED,
        "PERMISSION_MISSING",
        f"{principal} is denied the permission {permission} on {_plain(resource)}: a denial in the "
        "server's access rules takes it away, whatever roles grant it.",
        metadata={
            "permission": permission,
            "resource": _plain(resource),
            "principal": principal,
            "roles": "",
        },
    )


def unavailable(reason: str, message: str, **metadata: str) -> StudbookError:
    """UNAVAILABLE: nothing is wrong with the request; the same call may succeed shortly."""
    return StudbookError(Code.UNAVAILABLE, reason, message, metadata=metadata, retry_after_s=1.0)


def message_too_large(limit: int) -> StudbookError:
    """RESOURCE_EXHAUSTED, because one message is beyond the limit."""
    return StudbookError(
        Code.RESOURCE_EXHAUSTED,
        "MESSAGE_TOO_LARGE",
        f"A message of the call has more than {limit} bytes, the most that are accepted; "
        "send smaller parts.",
        metadata={"limit_bytes": str(limit)},
    )


def message_invalid(problem: str) -> StudbookError:
    """INVALID_ARGUMENT, because a call has no message, or not one that its method takes."""
    return StudbookError(Code.INVALID_ARGUMENT, "MESSAGE_INVALID", problem)


def message_late(seconds: float) -> StudbookError:
    """DEADLINE_EXCEEDED, because the message of a call did not come in time."""
    return StudbookError(
        Code.DEADLINE_EXCEEDED,
        "MESSAGE_LATE",
        f"The call's message did not arrive within {seconds:g} s; send it at once.",
        metadata={"seconds": f"{seconds:g}"},
    )


def stream_stalled(missing: str, seconds: float) -> StudbookError:
    """DEADLINE_EXCEEDED, because the client of a stream does not go on with it.

    Args:
        missing: What it does not do: `send` or `read`.
        seconds: How long that was waited for.
    """
    undone = {"send": "sent no further message", "read": "did not read what was sent to it"}
    return StudbookError(
        Code.DEADLINE_EXCEEDED,
        "STREAM_STALLED",
        f"The client {undone[missing]} for {seconds:g} s; open the stream again where it ended, "
        "when there is something to be done.",
        metadata={"missing": missing, "seconds": f"{seconds:g}"},
    )


def quota_exceeded(
    limit: str, allowed: int, wanted: int, message: str, **metadata: str
) -> StudbookError:
    """RESOURCE_EXHAUSTED, because a limit that an administrator set would be passed.

    Args:
        limit: Name of the setting.
        allowed: Its value.
        wanted: What the call would have needed.
        message: What there is, what is wanted, and what to do.
        metadata: Whatever else the message mentions.
    """
    return StudbookError(
        Code.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
        message,
        metadata={"limit": limit, "allowed": str(allowed), "wanted": str(wanted), **metadata},
    )


def answer_too_large(size: int, limit: int, remedy: str) -> StudbookError:
    """RESOURCE_EXHAUSTED, because clients would not take an answer of this size."""
    return StudbookError(
        Code.RESOURCE_EXHAUSTED,
        "ANSWER_TOO_LARGE",
        f"The answer would take {size} bytes, more than {limit}; {remedy}.",
        metadata={"limit": "answer_bytes", "allowed": str(limit), "wanted": str(size)},
    )


def deadline_exceeded(seconds: float) -> StudbookError:
    """DEADLINE_EXCEEDED, because a call without a deadline took longer than is allowed then."""
    return StudbookError(
        Code.DEADLINE_EXCEEDED,
        "CALL_TOO_LONG",
        f"The call took longer than {seconds:g} s; ask for less, or set a later deadline.",
        metadata={"seconds": f"{seconds:g}"},
    )
