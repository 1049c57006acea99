"""Whether what the server did not take is sent again, or noted as refused so that the rest goes on.

Sent again for as long as it takes: whatever says that the server cannot at present (UNAVAILABLE,
DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE of an upload, a rate limit, a call cut off), and
UNAUTHENTICATED, because whose run this is does not change while somebody logs in again. A defect
of the server is given a few attempts. Everything else is the server's last word on that record.
"""

from __future__ import annotations

from studbook.exceptions import (
    Cancelled,
    InvalidArgument,
    LimitExceeded,
    ServerError,
    StudbookError,
    Unauthenticated,
)
from studbook.patience import is_passing

# After so many attempts at one record a server that answers INTERNAL will not take it.
_MOST_ATTEMPTS = 5
_LASTING_LIMITS = frozenset({"MESSAGE_TOO_LARGE", "QUOTA_EXCEEDED"})


def is_refusal(error: StudbookError, attempts: int) -> bool:
    """Whether there is no use in sending the same record again.

    Args:
        error: What the server said.
        attempts: How often the record has been sent.
    """
    if isinstance(error, (Unauthenticated, Cancelled)) or is_passing(error):
        return False
    if isinstance(error, LimitExceeded):
        return error.reason in _LASTING_LIMITS
    if isinstance(error, ServerError):
        return attempts >= _MOST_ATTEMPTS
    return True


def is_worth_dividing(error: StudbookError) -> bool:
    """Whether parts of what was refused may be taken: one is wrong, or all are too much at once."""
    if isinstance(error, LimitExceeded):
        return error.reason == "MESSAGE_TOO_LARGE" or _has_room_for_params(error)
    return isinstance(error, InvalidArgument)


def _has_room_for_params(error: StudbookError) -> bool:
    """Whether a run to which all parameters are too many takes some of them.

    Not for the last hundredth, which every single parameter would be tried for.
    """
    limit = error.metadata
    if error.reason != "QUOTA_EXCEEDED" or limit.get("limit") != "run_param_bytes":
        return False
    return int(limit["stored"]) * 100 < int(limit["allowed"]) * 99


def takes_some_metrics(error: StudbookError, keys: int) -> bool:
    """Whether a run with too many metrics takes some of a refused batch.

    It does when it has some of them already, or room for one more.

    Args:
        error: What the server said.
        keys: How many metrics the batch has.
    """
    limit = error.metadata
    if error.reason != "QUOTA_EXCEEDED" or limit.get("limit") != "run_metrics":
        return False
    allowed, wanted, stored = (int(limit[name]) for name in ("allowed", "wanted", "stored"))
    return wanted - stored < keys or stored < allowed


def lasting_limit(error: StudbookError) -> str:
    """Name of the limit that a refused record goes beyond; empty when it was refused otherwise."""
    return error.metadata.get("limit", "") if error.reason == "QUOTA_EXCEEDED" else ""


def longest_wait_s(error: Exception) -> float:
    """How long to wait between attempts at most; and at least, where a person must act first."""
    if isinstance(error, Unauthenticated):
        return 60.0
    if isinstance(error, StudbookError) and is_refusal(error, 1):
        return 300.0
    return 30.0


def waits_for_a_person(error: Exception | None) -> bool:
    """Whether trying again soon is of no use: somebody must log in, or grant a permission."""
    return error is not None and longest_wait_s(error) > 30.0
