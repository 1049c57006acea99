"""The errors that Studbook's Python interface raises.

    StudbookError
    ├── Unauthenticated      who you are is not known             exit code 4
    ├── PermissionDenied     you may not                          exit code 4
    ├── NotFound             there is no such thing               exit code 3
    ├── AlreadyExists        the name is taken                    exit code 1
    ├── InvalidArgument      the request itself is wrong          exit code 2
    ├── FailedPrecondition   the state of things does not allow   exit code 5
    ├── Conflict             somebody else was faster             exit code 1
    ├── LimitExceeded        too much at once                     exit code 1
    ├── OutOfRange           an offset beyond the end             exit code 1
    ├── Unavailable          try again later                      exit code 1
    │   └── DeadlineExceeded no answer in time                    exit code 1
    ├── Cancelled            the call was given up                exit code 1
    ├── Unsupported          the server is older than the client  exit code 1
    ├── ServerError          a defect of the server               exit code 1
    └── VerificationFailed   bytes are not what they should be    exit code 6

Every error has a `next_step`: what the person at the terminal can do about it.
"""

# ruff: noqa: N818 - an error is named for what happened; all of them share the base StudbookError

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from studbook import job_variables
from studbook.fork_gate import importing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import grpc


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that is wrong, and how to put it right."""

    field: str
    description: str


@dataclass(frozen=True)
class Condition:
    """One condition that did not hold: its kind, what it is about, and what was found."""

    type: str
    subject: str
    description: str


class StudbookError(Exception):
    """Base of all errors of this package.

    Attributes:
        message: What was wrong, with which value.
        reason: Name in the contract's `ErrorReason`, e.g. `PERMISSION_MISSING`; may be empty.
        metadata: The values that the message mentions, by name.
        field_violations: Fields of the request that are wrong.
        conditions: Conditions that did not hold.
        retry_after_s: Seconds after which the server asks to try again; 0 when it says nothing.
        exit_code: What the command line ends with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: Sequence[FieldViolation] = (),
        conditions: Sequence[Condition] = (),
        retry_after_s: float = 0.0,
        next_step: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.field_violations = tuple(field_violations)
        self.conditions = tuple(conditions)
        self.retry_after_s = retry_after_s
        self._next_step = next_step

    def __str__(self) -> str:
        return self.message

    @property
    def next_step(self) -> str:
        """What to do about it, in one or two sentences; empty when there is nothing to say."""
        return self._next_step or self._advice()

    def _advice(self) -> str:
        return ""


class Unauthenticated(StudbookError):
    """The server does not know who is calling."""

    exit_code = 4

    def _advice(self) -> str:
        match self.reason:
            case "TOKEN_EXPIRED":
                return "Log in again with `studbook login`, or renew STUDBOOK_TOKEN."
            case "TOKEN_REVOKED":
                return (
                    "Whoever keeps the server's access.yaml has revoked it; ask them, or log in "
                    "again with `studbook login`."
                )
            case "ISSUER_UNKNOWN" | "AUDIENCE_MISMATCH":
                return (
                    "The token was issued for something else. Use a token of an issuer and "
                    "audience that the server's access.yaml names, or log in with `studbook login`."
                )
            case "TOKEN_SPENT" | "TOKEN_NOT_EXCHANGED":
                return (
                    "A CI system's token can be exchanged once. Where a job gets only one, "
                    'begin it with `export STUDBOOK_TOKEN="$(studbook token)"`.'
                )
            case "PIPELINE_UNKNOWN":
                return (
                    "Compare the token's claims (repository, ref, environment, workflow) with the "
                    "pipelines in the server's access.yaml."
                )
        return job_variables.advice() or "Log in with `studbook login`, or set STUDBOOK_TOKEN."


class PermissionDenied(StudbookError):
    """The caller is known, and may not do this."""

    exit_code = 4

    def _advice(self) -> str:
        permission = self.metadata.get("permission")
        resource = self.metadata.get("resource")
        if not permission or not resource:
            return "Ask whoever keeps the server's access.yaml for a role that allows it."
        roles = self.metadata.get("roles")
        has_it = f" ({roles})" if roles else ""
        if resource == "**":  # refused before it was looked at what the call is about
            return (
                f"Ask whoever keeps the server's access.yaml for a role with {permission}{has_it}."
            )
        return (
            f"Ask whoever keeps the server's access.yaml for a role with {permission} on "
            f"{resource}{has_it}. `studbook access test {permission} {resource}` shows the rule."
        )


class NotFound(StudbookError):
    """There is no such resource."""

    exit_code = 3

    def _advice(self) -> str:
        if self.reason == "STAGE_EMPTY":
            model = self.metadata.get("model", "").rpartition("/")[2] or "NAME"
            return f"`studbook model show {model}` lists the versions and where they stand."
        resource = self.metadata.get("resource", "")
        nouns = (noun for noun in ("model", "dataset", "webhook") if f"/{noun}s/" in resource)
        noun = next(nouns, "run")
        return f"Check the spelling; `studbook {noun} ls` shows what there is."


class AlreadyExists(StudbookError):
    """The name is taken."""

    def _advice(self) -> str:
        next_patch = self.metadata.get("next_patch")
        if next_patch:
            return f"Versions never change once they exist. The next free number is {next_patch}."
        return "Choose another name, or use the one that is there."


class InvalidArgument(StudbookError):
    """The request itself is wrong; repeating it will not help."""

    exit_code = 2

    def _advice(self) -> str:
        return "\n".join(
            f"{fault.field}: {fault.description}"
            for fault in self.field_violations
            if fault.description not in self.message
        )


class FailedPrecondition(StudbookError):
    """The request is fine, but the state of things does not allow it."""

    exit_code = 5

    def _advice(self) -> str:
        found = [held for held in self.conditions if held.description != self.message]
        return "\n".join(
            f"  {held.subject}: {held.description}"
            if self.reason == "POLICY_NOT_MET"
            else held.description
            for held in found
        )


class Conflict(StudbookError):
    """Somebody else changed the same thing in between."""

    def _advice(self) -> str:
        if self.reason == "PRODUCTION_CHANGED":
            return "Look at what is in Production now, then decide again."
        return "Read it again and repeat."


class LimitExceeded(StudbookError):
    """Larger or more than the server takes."""

    def _advice(self) -> str:
        # These messages name the limit that was set, and what to do instead.
        told = self.reason in {"QUOTA_EXCEEDED", "RATE_LIMITED"}
        return "" if told else "Send less in one call."


class OutOfRange(StudbookError):
    """An offset lies beyond the end."""


class Unavailable(StudbookError):
    """The server, or something it needs, cannot be reached at the moment."""

    def _advice(self) -> str:
        if self.reason:
            return "Nothing is wrong with the request; try again in a moment."
        return (
            "Check STUDBOOK_ADDRESS and that the server is running. "
            "`studbook up` starts one on this machine."
        )


class DeadlineExceeded(Unavailable):
    """No answer came in time; whether the call took effect is not known."""

    def _advice(self) -> str:
        return "Try again; if it keeps happening, look at the server's load and log."


class Cancelled(StudbookError):
    """The call was given up before it was answered."""


class Unsupported(StudbookError):
    """The server does not know this call."""

    def _advice(self) -> str:
        return "The server is older than this client, or the address is not Studbook's gateway."


class ServerError(StudbookError):
    """A defect of the server."""

    def _advice(self) -> str:
        request_id = self.metadata.get("request_id")
        where = f" under request id {request_id}" if request_id else ""
        return f"The cause is in the server's log{where}."


class VerificationFailed(StudbookError):
    """Bytes do not have the digest they should have."""

    exit_code = 6

    def _advice(self) -> str:
        return (
            "Do not use these files. Fetch them again; if it happens twice, tell whoever runs "
            "the server: stored bytes have changed."
        )


# By canonical status code number, so that this module does not import grpc.
_BY_CODE: dict[int, type[StudbookError]] = {
    1: Cancelled,
    2: ServerError,
    3: InvalidArgument,
    4: DeadlineExceeded,
    5: NotFound,
    6: AlreadyExists,
    7: PermissionDenied,
    8: LimitExceeded,
    9: FailedPrecondition,
    10: Conflict,
    11: OutOfRange,
    12: Unsupported,
    13: ServerError,
    14: Unavailable,
    15: VerificationFailed,
    16: Unauthenticated,
}


def _details_of(error: grpc.RpcError) -> bytes:
    # grpc-stubs knows trailers as named tuples without saying that they unpack.
    trailers: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    pairs = {key: value for key, value in trailers or () if key == "grpc-status-details-bin"}
    found = pairs.get("grpc-status-details-bin", b"")
    return found if isinstance(found, bytes) else b""


def _message_of(code: int, details: str, address: str) -> str:
    if code == 14 and address:
        return f"{address} cannot be reached: {details}"
    if code == 4:
        return f"{address or 'The server'} did not answer in time."
    return details or f"The server answered with status {code} and no message."


def from_rpc_error(error: grpc.RpcError, *, address: str = "") -> StudbookError:
    """The error of this package for one of grpc, with all that the server said about it.

    Args:
        error: As raised by a generated stub.
        address: Whom the call went to, for the message when nobody answered.
    """
    with importing():
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - keeps the import light
        from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415

    code = error.code().value[0] if hasattr(error, "code") else 2
    kind = _BY_CODE.get(code, ServerError)
    plain = (error.details() if hasattr(error, "details") else str(error)) or ""
    status = status_pb2.Status()
    try:
        status.ParseFromString(_details_of(error))
    except DecodeError:
        status = status_pb2.Status()

    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    unmet = error_details_pb2.PreconditionFailure()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, request, unmet, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)

    # With an ErrorInfo the server itself spoke; without, the call never got that far.
    message = (status.message or plain) if info.reason else _message_of(code, plain, address)
    return kind(
        message,
        reason=info.reason,
        metadata=dict(info.metadata),
        field_violations=[
            FieldViolation(fault.field, fault.description) for fault in request.field_violations
        ],
        conditions=[
            Condition(fault.type, fault.subject, fault.description) for fault in unmet.violations
        ],
        retry_after_s=retry.retry_delay.ToMilliseconds() / 1000,
    )
