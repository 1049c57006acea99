"""The ID token of a login: proof that the provider answered this very request of this client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from gateway.refusals import TokenRefusedError
from gateway.token_shape import MalformedTokenError
from gateway.token_verifier import LEEWAY_S
from gateway.web.provider_token import made_out_to
from gateway.web.refusals import LoginRefusedError

if TYPE_CHECKING:
    from gateway.signing_keys import SigningKeys
    from gateway.token_shape import UnverifiedToken
    from gateway.web.provider import Provider, Tokens


@dataclass(frozen=True)
class ProvenLogin:
    """A login as the provider knows it.

    Attributes:
        subject: Whose it is (`sub`). Who the person is to Studbook does not follow from it; that
            the token for calls says. The two must speak of the same one.
        provider_session: The provider's own session (`sid`); empty when it names none.
    """

    subject: str
    provider_session: str


async def proven_login(
    tokens: Tokens, provider: Provider, nonce: str, keys: SigningKeys
) -> ProvenLogin:
    """What a login's ID token says, which was made out to us, for this nonce, by the provider.

    Raises:
        LoginRefusedError: There is none, or it is not what it must be.
        StudbookError: The provider's keys cannot be had.
    """
    try:
        client = provider.login.client_id
        token = await made_out_to(client, tokens.identity, provider.issuer, keys)
        _validate(token, tokens, provider, nonce)
    except (MalformedTokenError, JoseError) as error:
        raise LoginRefusedError(
            "ID_TOKEN_INVALID", f"ID token: {error}", provider=provider.name
        ) from None
    except TokenRefusedError as error:
        check = f"ID token: {error.for_log['check']}"
        raise LoginRefusedError("ID_TOKEN_INVALID", check, provider=provider.name) from None
    session = token.claims.get("sid", "")
    return ProvenLogin(str(token.claims["sub"]), session if isinstance(session, str) else "")


def _validate(token: UnverifiedToken, tokens: Tokens, provider: Provider, nonce: str) -> None:
    client = provider.login.client_id
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
