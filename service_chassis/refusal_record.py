"""What is kept of a refused call: a count by reason, and who was refused what, in its line.

The line that every call gets is marked `"security": "refused"` when it is a failed authentication
or a denial, so that these can be told from the rest, and alerted on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
