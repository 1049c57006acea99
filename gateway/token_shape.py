"""Taking a compact JWS apart, strictly: whatever could be read in two ways is not read at all.

Nothing here is verified yet. The parts are good for one thing: to find the key that may verify
them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST_TOKEN = 8192
_LONGEST_HEADER = 2048
_LONGEST_NUMBER = 16
_MOST_BRACKETS = 512
_PART = re.compile(r"[A-Za-z0-9_-]+")

# Each of these tells a verifier to do something else than check one signature with one known key.
_BANNED_HEADERS = frozenset(
    {"b64", "crit", "cty", "enc", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip"}
)


class MalformedTokenError(ValueError):
    """The text is not a token; the message says which check failed, for the log."""


@dataclass(frozen=True)
class UnverifiedToken:
    """A token as it claims to be. No decision but the choice of a key may rest on it.

    `key_id` and `type` are empty when it does not say.
    """

    header: dict[str, Any]
    claims: dict[str, Any]
    algorithm: str
    key_id: str
    type: str
    issuer: str


def take_apart(text: str) -> UnverifiedToken:
    """The parts of a compact JWS.

    Raises:
        MalformedTokenError: It is not one, or not in its one canonical form.
    """
    if len(text) > LONGEST_TOKEN:
        raise MalformedTokenError("too long")
    parts = text.split(".")
    if len(parts) != 3:
        raise MalformedTokenError("not three parts")
    header_bytes, claims_bytes, _ = (_decoded(part) for part in parts)
    if len(header_bytes) > _LONGEST_HEADER:
        raise MalformedTokenError("header too long")
    header = parse_object(header_bytes)
    claims = parse_object(claims_bytes)
    if banned := _BANNED_HEADERS & header.keys():
        raise MalformedTokenError(f"header {min(banned)}")
    return UnverifiedToken(
        header=header,
        claims=claims,
        algorithm=_text(header, "alg"),
        key_id=_text(header, "kid") if "kid" in header else "",
        type=_text(header, "typ") if "typ" in header else "",
        issuer=_text(claims, "iss"),
    )


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedTokenError(f"{name} is not text")
    return value


def _decoded(part: str) -> bytes:
    """Base64url in its canonical form, so that a token cannot be written in two ways."""
    if not _PART.fullmatch(part):
        raise MalformedTokenError("not base64url")
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise MalformedTokenError("not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise MalformedTokenError("base64url not canonical")
    return data


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedTokenError("duplicate member")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise MalformedTokenError("number too long")
    return int(digits)


def _constant(name: str) -> Any:
    raise MalformedTokenError(f"{name} is not JSON")


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object, without duplicate members, huge numbers, deep nesting or broken text.

    Raises:
        MalformedTokenError: It is anything else.
    """
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        raise MalformedTokenError("nested too deeply")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_constant=_constant,
        )
        # Escapes can spell halves of characters, which no text may hold.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except MalformedTokenError:
        raise
    except (ValueError, RecursionError):
        raise MalformedTokenError("not JSON") from None
    if not isinstance(value, dict):
        raise MalformedTokenError("not a JSON object")
    return value
