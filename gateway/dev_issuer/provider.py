"""Authlib's authorisation server, for Starlette requests."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Payload, OAuth2Request
from starlette.responses import Response

from gateway.dev_issuer.access_tokens import AccessToken
from gateway.dev_issuer.client_assertion import ClientAssertion
from gateway.dev_issuer.clients import PRIVATE_KEY, SCOPES, Account, RegisteredClient
from gateway.dev_issuer.device_grant import DeviceAuthorization, DeviceGrant
from gateway.dev_issuer.device_logins import DeviceLogins
from gateway.dev_issuer.grants import (
    AccessTokenGenerator,
    CodeGrant,
    IdToken,
    MandatoryPkce,
    RotatingRefresh,
    ServiceAccountGrant,
)
from gateway.dev_issuer.logout import EndSession, Revocation
from gateway.dev_issuer.password_hash import hash_secret, verify_secret
from gateway.dev_issuer.signing_key import SigningKey
from gateway.dev_issuer.token_store import CodeStore, TokenStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from gateway.dev_issuer.config import DevIssuerConfig

_LONGEST_BODY = 64 * 1024


class BodyTooLargeError(ValueError):
    """The request's body is larger than any honest one."""


async def read_body(request: Request) -> bytes:
    """The request's body, refused as soon as it gets too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            message = f"the body is larger than {_LONGEST_BODY} bytes"
            raise BodyTooLargeError(message)
    return body


class Payload(OAuth2Payload):
    """Query and form of a request."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._data = dict(reversed(pairs))
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for key, value in pairs:
            self._lists[key].append(value)

    @property
    def data(self) -> dict[str, str]:
        """The first value of each parameter."""
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """All values of each parameter, for noticing repeated ones."""
        return self._lists


class FormRequest(OAuth2Request):
    """A Starlette request whose body was read already, as Authlib reads requests."""

    def __init__(self, request: Request, body: bytes) -> None:
        super().__init__(request.method, str(request.url), headers=request.headers)
        query = parse_qsl(request.url.query, keep_blank_values=True)
        fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        self._form = dict(reversed(fields))
        self.payload = Payload([*query, *fields])

    @property
    def form(self) -> dict[str, str]:
        """The body's fields alone; secrets are never taken from the query."""
        return self._form

    @classmethod
    async def read(cls, request: Request) -> FormRequest:
        """Read the body and wrap the request."""
        return cls(request, await read_body(request))


class Provider(AuthorizationServer):
    """The authorisation server for people and service accounts."""

    def __init__(self, config: DevIssuerConfig) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.config = config
        self.key = SigningKey.read(config.signing_key)
        self.codes = CodeStore()
        self.device_logins = DeviceLogins()
        self.tokens = TokenStore(config.state_file, config.refresh_token_lifetime_s)
        self._clients = {client.client_id: RegisteredClient(client) for client in config.clients}
        self._accounts = {person.sub: Account(person) for person in config.people}
        # Compared with when the person is unknown, so that answers take equally long.
        self._nobody = hash_secret("")
        self.register_token_generator("default", AccessTokenGenerator(self))
        self.register_client_auth_method(PRIVATE_KEY, ClientAssertion(config.issuer))
        self.register_grant(CodeGrant, [MandatoryPkce(), IdToken(self)])
        self.register_grant(DeviceGrant, [IdToken(self)])
        self.register_grant(RotatingRefresh)
        self.register_grant(ServiceAccountGrant)
        self.register_endpoint(Revocation)
        self.register_endpoint(EndSession)
        self.register_endpoint(DeviceAuthorization)
        self.register_hook("after_create_authorization_response", Provider.name_issuer)

    def name_issuer(self, response: Response) -> None:
        """Add `iss` to an authorisation response, against mix-up attacks (RFC 9207)."""
        if location := response.headers.get("location"):
            response.headers["location"] = add_params_to_uri(
                location, [("iss", self.config.issuer)]
            )

    def account(self, sub: str) -> Account | None:
        """The person with this `sub`."""
        return self._accounts.get(sub)

    def log_in(self, form: Mapping[str, str]) -> Account | None:
        """Whom a submitted login form lets in: by password, or somebody with auto_login."""
        account = self.account(form.get("sub", ""))
        if "password" not in form:
            return account if account is not None and account.person.auto_login else None
        stored = account.person.password_hash if account is not None else None
        matches = verify_secret(form["password"], stored or self._nobody)
        return account if stored is not None and matches else None

    def access_token(self, text: str) -> AccessToken | None:
        """The access token that this issuer signed and that has not expired, else None."""
        claims = self.key.verified_claims(text, "at+jwt")
        if claims is None:
            return None
        return AccessToken(claims, revoked=self.tokens.is_revoked(claims.get("jti", "")))

    def query_client(self, client_id: str) -> RegisteredClient | None:
        """The client with this identifier."""
        return self._clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Keep the refresh token, if there is one, in the family of its login."""
        secret = token.get("refresh_token")
        origin = request.authorization_code or request.refresh_token or request.credential
        if secret is None or origin is None:
            return
        self.tokens.add(
            secret,
            family=origin.family,
            client_id=request.client.client_id,
            sub=request.user.person.sub,
            scope=token.get("scope", ""),
        )

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        """Requests arrive here wrapped already, because reading a body takes an `await`."""
        return request

    def handle_response(
        self, status: int, body: str | dict[str, Any], headers: list[tuple[str, str]]
    ) -> Response:
        """Authlib's answer as a Starlette response."""
        content = json.dumps(body) if isinstance(body, dict) else body
        return Response(content, status, dict(headers))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Signals have no listeners here."""
