"""Tokens in which the provider speaks to us as its client: of a login, and of the end of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.signature_check import signature_is_valid
from gateway.token_shape import MalformedTokenError, take_apart

if TYPE_CHECKING:
    from gateway.access_file import PeopleIssuer
    from gateway.signing_keys import SigningKeys
    from gateway.token_shape import UnverifiedToken


async def made_out_to(
    client_id: str, text: str, issuer: PeopleIssuer, keys: SigningKeys
) -> UnverifiedToken:
    """A token that an issuer has made out to a client of ours; what else it says is not checked.

    Raises:
        MalformedTokenError: It has not, or not to us alone.
        StudbookError: Its key is not known, or the keys cannot be had.
    """
    token = take_apart(text)
    if token.issuer != issuer.url:
        raise MalformedTokenError("iss")
    if token.algorithm not in issuer.algorithms:
        raise MalformedTokenError("algorithm not allowed for the issuer")
    key = await keys.of(token.issuer).find(token.key_id, token.algorithm)
    if not signature_is_valid(text, key, token.algorithm):
        raise MalformedTokenError("signature")
    audience = token.claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if client_id not in named:
        raise MalformedTokenError("aud")
    # Beside us it may name those that tokens for us may name as well, and nobody else.
    trusted = {client_id, issuer.audience, *issuer.other_audiences}
    if not all(isinstance(one, str) and one in trusted for one in named):
        raise MalformedTokenError("aud names others too")
    return token
