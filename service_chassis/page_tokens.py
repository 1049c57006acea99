"""Page tokens: where the next page of a list begins.

A token is encrypted, not merely signed: the row it points to may be one that the caller must not
know of. It grants nothing; every page is authorised like the first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service_chassis.errors import Code, FieldViolation, StudbookError

SortValue = str | int | float | bool | None

_NONCE_BYTES = 12
# Changes with the layout of the tokens, so that older ones are refused instead of misread.
_LAYOUT = b"studbook page token 1"
# The longest there are hold texts of 8192 characters for each of eight fields that lists are
# sorted by.
_LONGEST = 512 * 1024


def _refusal(message: str, remedy: str) -> StudbookError:
    return StudbookError(
        Code.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        f"{message}; {remedy}.",
        fields=(FieldViolation("page_token", remedy),),
    )


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


class PageTokens:
    """Makes and reads page tokens.

    Args:
        key: Secret of the service, 16 bytes or more; the same in all its processes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            message = "the page token key must have 16 bytes or more"
            raise ValueError(message)
        self._cipher = AESGCM(hashlib.sha256(_LAYOUT + key).digest())

    def seal(self, position: tuple[SortValue, ...], arguments: str) -> str:
        """The token for the rows after a position.

        Args:
            position: The values of the last row by which the list is sorted.
            arguments: Fingerprint of the request's arguments, page size and token aside.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = json.dumps(
            [arguments, list(position)], ensure_ascii=False, separators=(",", ":")
        ).encode()
        sealed = nonce + self._cipher.encrypt(nonce, content, _LAYOUT)
        return _text(sealed)

    def open(self, token: str, arguments: str) -> tuple[SortValue, ...]:
        """The position that a token was made for.

        Raises:
            StudbookError: PAGE_TOKEN_INVALID when the token was altered, comes from elsewhere, or
                was made for other arguments.
        """
        try:
            if len(token) > _LONGEST:
                raise ValueError
            sealed = base64.b64decode(
                token + "=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
            if _text(sealed) != token:
                raise ValueError
            nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            made_for, position = json.loads(self._cipher.decrypt(nonce, content, _LAYOUT))
        except (ValueError, binascii.Error, InvalidTag) as error:
            raise _refusal(
                "page_token was not issued by this server",
                "send next_page_token of the page before, or leave it empty to begin anew",
            ) from error
        if made_for != arguments:
            raise _refusal(
                "page_token was issued for a request with other arguments",
                "send the same parent, filter and order_by as for the page before, or leave "
                "page_token empty to begin anew",
            )
        return tuple(position)
