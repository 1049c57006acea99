"""What a token says of itself. Not verified: only good for knowing when and how to use it."""

from __future__ import annotations

import base64
import json
from typing import Any


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT; empty when it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def issuer_of(token: str) -> str:
    """Who a JWT says issued it; empty when it does not."""
    issuer = claims_of(token).get("iss")
    return issuer if isinstance(issuer, str) else ""


def expiry_of(token: str) -> float | None:
    """When a JWT says that it expires, in seconds since the epoch."""
    expiry = claims_of(token).get("exp")
    return float(expiry) if isinstance(expiry, int | float) else None
