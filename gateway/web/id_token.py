"""The ID token of a login: proof that the provider answered this very request of this client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from gateway.refusals import TokenRefusedError
from gateway.signature_check import signature_is_valid
from gateway.token_shape import MalformedTokenError, take_apart
from gateway.token_verifier import LEEWAY_S
from gateway.web.refusals import LoginRefusedError

if TYPE_CHECKING:
    from gateway.signing_keys import SigningKeys
    from gateway.token_shape import UnverifiedToken
    from gateway.web.provider import Provider, Tokens


async def subject_of_login(
    tokens: Tokens, provider: Provider, nonce: str, keys: SigningKeys
) -> str:
    """The `sub` of a login's ID token, which was made out to us, for this nonce, by the provider.

    Who the person is to Studbook does not follow from it; that the token for calls says. The two
    must speak of the same one.

    Raises:
        LoginRefusedError: There is none, or it is not what it must be.
        StudbookError: The provider's keys cannot be had.
    """
    try:
        token = take_apart(tokens.identity)
        if token.issuer != provider.issuer.url:
            raise MalformedTokenError("iss")
        if token.algorithm not in provider.issuer.algorithms:
            raise MalformedTokenError("algorithm not allowed for the issuer")
        key = await keys.of(token.issuer).find(token.key_id, token.algorithm)
        if not signature_is_valid(tokens.identity, key, token.algorithm):
            raise MalformedTokenError("signature")
        _validate(token, tokens, provider, nonce)
    except (MalformedTokenError, JoseError) as error:
        raise LoginRefusedError(
            "ID_TOKEN_INVALID", f"ID token: {error}", provider=provider.name
        ) from None
    except TokenRefusedError as error:
        check = f"ID token: {error.for_log['check']}"
        raise LoginRefusedError("ID_TOKEN_INVALID", check, provider=provider.name) from None
    return str(token.claims["sub"])


def _validate(token: UnverifiedToken, tokens: Tokens, provider: Provider, nonce: str) -> None:
    client, issuer = provider.login.client_id, provider.issuer
    audience = token.claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    # Beside us it may name those that tokens for us may name as well, and nobody else.
    trusted = {client, issuer.audience, *issuer.other_audiences}
    if not all(isinstance(one, str) and one in trusted for one in named):
        raise MalformedTokenError("aud names others too")
    options: dict[str, Any] = {
        "iss": {"essential": True, "value": provider.issuer.url},
        "aud": {"essential": True, "value": client},
        "nonce": {"essential": True, "value": nonce},
    }
    params = {"nonce": nonce, "access_token": tokens.access}
    if "azp" in token.claims:
        params["client_id"] = client
    claims = CodeIDToken(token.claims, token.header, options=options, params=params)
    claims.validate(leeway=LEEWAY_S)
