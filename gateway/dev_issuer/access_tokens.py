"""The issuer's own access tokens, as its own endpoints know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dev_issuer.provider import Provider


class AccessToken(TokenMixin):
    """An access token whose signature and times were checked."""

    def __init__(self, claims: Mapping[str, Any], *, revoked: bool) -> None:
        self.sub = str(claims.get("sub", ""))
        self.jti = str(claims.get("jti", ""))
        self.expires_at = int(claims["exp"])
        self._client_id = claims.get("client_id")
        self._scope = str(claims.get("scope", ""))
        self._revoked = revoked

    def check_client(self, client: object) -> bool:
        """Whether it was issued to this client."""
        return bool(getattr(client, "client_id", None) == self._client_id)

    def get_scope(self) -> str:
        """The token's scope."""
        return self._scope

    def is_expired(self) -> bool:
        """False: expired ones do not get this far."""
        return False

    def is_revoked(self) -> bool:
        """Whether its client has taken it back."""
        return self._revoked


class AccessTokenValidator(BearerTokenValidator):
    """Recognises the access tokens that this issuer signed."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self._provider = provider

    def authenticate_token(self, token_string: str) -> AccessToken | None:
        """The token, when it verifies."""
        return self._provider.access_token(token_string)
