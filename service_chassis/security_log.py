"""What is kept of logins and of refused calls: a count, and a line that says who did what.

Such lines are marked `"security": "login"` and `"security": "refused"`, so that they can be told
from the rest, and alerted on. For a refusal it is the line that every call gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from service_chassis.errors import Code

if TYPE_CHECKING:
    from service_chassis.caller import Principal
    from service_chassis.errors import StudbookError

_REFUSALS = Counter(
    "studbook_refusals",
    "Calls that were refused because of who made them, or how many.",
    ["code", "reason"],
)
_LOGINS = Counter(
    "studbook_logins",
    "Tokens that were used for the first time with this process.",
    ["kind"],
)
_log = structlog.get_logger("studbook.security")
_SECURITY = frozenset({Code.UNAUTHENTICATED, Code.PERMISSION_DENIED})
_TOO_MANY = "RATE_LIMITED"


def bearer_of(principal: Principal) -> dict[str, str]:
    """Whom a token speaks for, as logs say it. The token itself is no part of it."""
    return {
        "principal": principal.id,
        "issuer": principal.issuer,
        "subject": principal.subject,
        "token_id": principal.token_id,
    }


def record_login(principal: Principal, method: str) -> None:
    """Count and log the first use of a token.

    Args:
        principal: Whom it speaks for.
        method: Path of the method that was called with it.
    """
    _LOGINS.labels(principal.kind).inc()
    _log.info("login", security="login", method=method, **bearer_of(principal))


def record_refusal(error: StudbookError, principal: Principal | None) -> dict[str, str]:
    """Count a refused call; returns what its line says besides method and code.

    Args:
        error: Why it was refused.
        principal: Who made it, when that is known.
    """
    told = {"reason": error.reason, **error.for_log}
    if error.code not in _SECURITY and error.reason != _TOO_MANY:
        return told
    if error.code not in _SECURITY:
        _REFUSALS.labels(error.code.name, error.reason).inc()
        return told
    who = bearer_of(principal) if principal else {}
    resource = error.metadata.get("resource", "")
    return {"resource": resource, **who, **record_denial(error.code, **told)}


def record_denial(code: Code, reason: str, **told: str) -> dict[str, str]:
    """Count a failed authentication or a denial; returns what its line says.

    Args:
        code: Which of the two.
        reason: Why, by a name that stays.
        told: What is known besides.
    """
    _REFUSALS.labels(code.name, reason).inc()
    return {"security": "refused", "reason": reason, **told}
