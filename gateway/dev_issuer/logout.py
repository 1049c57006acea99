"""Logging out: revocation of tokens (RFC 7009), and the logout that a client begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oidc.rpinitiated import EndSessionEndpoint

from gateway.dev_issuer.token_store import RefreshToken

if TYPE_CHECKING:
    from authlib.oauth2.rfc6749 import OAuth2Request
    from authlib.oidc.rpinitiated import EndSessionRequest
    from joserfc.jwk import KeySet

    from gateway.dev_issuer.access_tokens import AccessToken
    from gateway.dev_issuer.provider import Provider


class Revocation(RevocationEndpoint):
    """Takes tokens back from the client that they were issued to."""

    server: Provider
    CLIENT_AUTH_METHODS = ["none", "client_secret_basic", "client_secret_post"]  # noqa: RUF012 - Authlib declares it as a plain list

    def query_token(
        self, token_string: str, token_type_hint: str | None
    ) -> RefreshToken | AccessToken | None:
        """The token, whatever it is; a wrong hint does not matter."""
        return self.server.tokens.find(token_string) or self.server.access_token(token_string)

    def revoke_token(self, token: RefreshToken | AccessToken, request: OAuth2Request) -> None:
        """End the whole login of a refresh token; of an access token only itself."""
        if isinstance(token, RefreshToken):
            self.server.tokens.end_login(token.family)
        else:
            self.server.tokens.revoke(token.jti, token.expires_at)


class EndSession(EndSessionEndpoint):
    """Ends the login that an ID token stems from (OpenID Connect RP-Initiated Logout).

    The issuer keeps no session in the browser: each login begins with the question who it is.
    """

    server: Provider

    def get_server_jwks(self) -> KeySet:
        """The keys that ID tokens are signed with."""
        return self.server.key.key_set

    def end_session(self, end_session_request: EndSessionRequest) -> None:
        """End the login, when the client has said by an ID token which."""
        claims = end_session_request.id_token_claims or {}
        if login := claims.get("sid"):
            self.server.tokens.end_login(str(login))
