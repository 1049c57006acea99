"""The grants on offer: authorisation code with PKCE, refresh with rotation, client credentials."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import OpenIDCode, UserInfo

from gateway.dev_issuer.clients import PRIVATE_KEY
from gateway.dev_issuer.token_store import AuthorizationCode, RefreshToken

if TYPE_CHECKING:
    from authlib.oauth2.rfc6749 import OAuth2Request

    from gateway.dev_issuer.clients import Account, RegisteredClient
    from gateway.dev_issuer.provider import Provider


class InvalidTargetError(OAuth2Error):
    """The `resource` of a request (RFC 8707) is not the audience that this issuer serves."""

    error = "invalid_target"


def check_resource(provider: Provider, request: OAuth2Request) -> None:
    """Refuse a token for another audience than the configured one."""
    asked = request.payload.data.get("resource")
    if asked and asked != provider.config.audience:
        raise InvalidTargetError(description="Tokens for this resource are not issued here.")


class CodeGrant(grants.AuthorizationCodeGrant):
    """Authorisation code for public clients."""

    server: Provider
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]  # noqa: RUF012 - Authlib declares it as a plain list

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Keep the code with everything its redemption is checked against."""
        asked = request.payload.data
        self.server.codes.add(
            code,
            AuthorizationCode(
                family=secrets.token_hex(16),
                client_id=request.client.client_id,
                sub=request.user.person.sub,
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope,
                nonce=asked.get("nonce", ""),
                code_challenge=asked["code_challenge"],
                code_challenge_method=asked["code_challenge_method"],
                auth_time=int(time.time()),
            ),
        )

    def query_authorization_code(
        self, code: str, client: RegisteredClient
    ) -> AuthorizationCode | None:
        """The code, once. A second attempt ends the login that the first one started."""
        found, first_use = self.server.codes.redeem(code)
        if found is None:
            return None
        if not first_use:
            self.server.tokens.end_login(found.family)
            return None
        return found if found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Nothing to do: it was used up when it was looked at, and is kept to notice reuse."""

    def authenticate_user(self, authorization_code: AuthorizationCode) -> Account | None:
        """The person who logged in, unless removed from the configuration since."""
        return self.server.account(authorization_code.sub)


class MandatoryPkce(CodeChallenge):
    """PKCE with S256 for every login; `plain` and none at all are refused."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - Authlib declares it as a plain list

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Require challenge and method already when the login starts."""
        asked = grant.request.payload.data
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge with code_challenge_method=S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)
        check_resource(grant.server, grant.request)


class IdToken(OpenIDCode):
    """Adds an ID token, made out to the client, when the scope holds `openid`."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(require_nonce=False)
        self._provider = provider

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        """Whether a code was issued for this nonce already."""
        return self._provider.codes.knows_nonce(request.payload.client_id, nonce)

    def resolve_client_private_key(self, client: RegisteredClient) -> Any:
        """The same key for every client."""
        return self._provider.key.key_set

    def get_client_algorithm(self, client: RegisteredClient) -> str:
        """The algorithm of that key."""
        return self._provider.key.algorithm

    def get_client_claims(self, client: RegisteredClient) -> dict[str, Any]:
        """Issuer and audience; Authlib adds the times."""
        return {"iss": self._provider.config.issuer, "aud": client.client_id}

    def get_compatible_claims(self, request: OAuth2Request) -> dict[str, Any]:
        """What Authlib puts into every ID token, and which login it stems from."""
        claims: dict[str, Any] = super().get_compatible_claims(request)
        origin = request.authorization_code or request.credential
        return claims | {"sid": origin.family}

    def generate_user_info(self, user: Account, scope: str) -> UserInfo:
        """The claims about the person that the scope covers."""
        return user_info(user, scope)


class RotatingRefresh(grants.RefreshTokenGrant):
    """Refresh tokens that are good for one use each."""

    server: Provider
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]  # noqa: RUF012 - Authlib declares it as a plain list
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        """The stored token, used up now so that no parallel request can use it too."""
        check_resource(self.server, self.request)
        token = self.server.tokens.find(refresh_token)
        if token is None or not token.check_client(self.request.client):
            return None
        return token if self.server.tokens.use(token) else None

    def authenticate_user(self, refresh_token: RefreshToken) -> Account | None:
        """The person who logged in, unless removed from the configuration since."""
        return self.server.account(refresh_token.sub)

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        """Nothing to do: it was used up when it was looked at."""


class ServiceAccountGrant(grants.ClientCredentialsGrant):
    """Client credentials, by HTTP Basic or in the form."""

    server: Provider
    TOKEN_ENDPOINT_AUTH_METHODS = [  # noqa: RUF012 - Authlib declares it as a plain list
        "client_secret_basic",
        "client_secret_post",
        PRIVATE_KEY,
    ]

    def validate_token_request(self) -> None:
        """Refuse tokens for other audiences beside what Authlib checks."""
        super().validate_token_request()
        check_resource(self.server, self.request)


class AccessTokenGenerator(JWTBearerTokenGenerator):
    """Access tokens as RFC 9068 has them: typ at+jwt, for the configured audience."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(
            provider.config.issuer,
            alg=provider.key.algorithm,
            refresh_token_generator=lambda **_: secrets.token_urlsafe(32),
            expires_generator=provider.config.access_token_lifetime_s,
        )
        self._provider = provider

    def get_jwks(self) -> Any:
        """The signing key, as a set so that its id gets into the header."""
        return self._provider.key.key_set

    def get_audiences(self, client: RegisteredClient, user: Account | None, scope: str) -> str:
        """The one audience that this issuer serves."""
        return self._provider.config.audience

    def get_extra_claims(
        self,
        client: RegisteredClient,
        grant_type: str,
        user: Account | None,
        scope: str,
    ) -> dict[str, object]:
        """Name, email and groups of a person; the name of a service account."""
        if user is not None:
            return user.claims()
        return {"name": client.config.name} if client.config.name else {}


def user_info(account: Account, scope: str) -> UserInfo:
    """The claims about a person that a scope covers."""
    info = UserInfo(sub=account.get_user_id(), **account.claims()).filter(scope)
    if "groups" in scope.split():
        info["groups"] = list(account.person.groups)
    return info
