"""Talking to the OIDC provider at which the server's callers log in."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from studbook.address import Address
from studbook.exceptions import FailedPrecondition, StudbookError, Unavailable
from studbook.oauth_client import http_client, in_our_words, oauth_client
from studbook.server_info import server_info
from studbook.stored_logins import Login
from studbook.token_claims import expiry_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from studbook.identity.v1.identity_service_pb2 import LoginProvider

_ENDPOINTS = (
    "authorization_endpoint",
    "device_authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
)


@dataclass(frozen=True)
class Provider:
    """A login provider: what the server said about it, and what it says about itself."""

    name: str
    issuer: str
    client_id: str
    scope: str
    audience: str
    development: bool
    authorization_endpoint: str
    device_authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    end_session_endpoint: str
    names_itself: bool
    prompt: str = ""
    client_secret: str = ""
    redirect_uri: str = "http://127.0.0.1/callback"
    audience_parameter: str = "resource"
    service_scope: str = ""
    id_tokens: bool = False
    secret_in_body: bool = False


def offered(address: str) -> list[LoginProvider]:
    """The login providers that a server names."""
    return list(server_info(address).login_providers)


def discover(address: str, name: str = "") -> Provider:
    """The login provider of a server, with its endpoints.

    Args:
        address: The server.
        name: Which provider, where the server has several.

    Raises:
        FailedPrecondition: The server has none, or several and none was named.
        Unavailable: The provider cannot be reached, or does not say what it should.
    """
    return _describe(_choose(address, offered(address), name))


def _choose(address: str, found: list[LoginProvider], name: str) -> LoginProvider:
    matching = [provider for provider in found if name in {"", provider.name}]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(provider.name for provider in found)
    if not found:
        message = f"{address} has no login provider for people."
        step = "Set STUDBOOK_TOKEN, or name one under issuers in the server's access.yaml."
    else:
        message = (
            f"{address} has several login providers."
            if not name
            else (f"{address} has no login provider called {name}.")
        )
        step = f"Choose one of these with --provider or STUDBOOK_LOGIN_PROVIDER: {names}."
    raise FailedPrecondition(message, next_step=step)


def _describe(info: LoginProvider) -> Provider:
    require_secure(info.issuer, info.issuer)
    url = f"{info.issuer.rstrip('/')}/.well-known/openid-configuration"
    with http_client(url) as session, in_our_words(info.issuer):
        answer = session.get(url)
        answer.raise_for_status()
        document = answer.json()
    if not isinstance(document, dict) or document.get("issuer") != info.issuer:
        message = f"What {url} says does not belong to the issuer {info.issuer}."
        raise Unavailable(message)
    endpoints = {name: str(document.get(name) or "") for name in _ENDPOINTS}
    for endpoint in filter(None, endpoints.values()):
        require_secure(endpoint, info.issuer)
    if not endpoints["token_endpoint"]:
        message = f"The login provider {info.issuer} names no token endpoint."
        raise Unavailable(message)
    return Provider(
        name=info.name,
        issuer=info.issuer,
        client_id=info.client_id,
        scope=info.scope,
        audience=info.audience,
        development=info.development,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        prompt=info.prompt,
        client_secret=info.client_secret,
        redirect_uri=info.redirect_uri or Provider.redirect_uri,
        audience_parameter=info.audience_parameter,
        service_scope=info.service_scope,
        id_tokens=info.id_tokens,
        secret_in_body=_only_reads_body(document),
        **endpoints,
    )


def _only_reads_body(document: Mapping[str, Any]) -> bool:
    """Whether the provider says that it takes no secrets in a header."""
    methods = document.get("token_endpoint_auth_methods_supported")
    return isinstance(methods, list) and "client_secret_basic" not in methods


def require_secure(url: str, issuer: str) -> None:
    """Refuse an address of a provider at which others could read along.

    Raises:
        StudbookError: It is neither https nor on loopback.
    """
    parts = urlsplit(url)
    local = Address(parts.hostname or "", 0).is_loopback
    if parts.scheme == "https" or (parts.scheme == "http" and local):
        return
    message = f"The login provider {issuer} uses {url}, which is not https: tokens would be read."
    raise StudbookError(message, next_step="Ask whoever runs the server to correct access.yaml.")


def for_audience(of: Provider | Login) -> dict[str, str]:
    """The parameter that asks for tokens for our server, as the provider knows it."""
    return {of.audience_parameter: of.audience} if of.audience and of.audience_parameter else {}


def client_credentials(
    provider: Provider, client_id: str, secret: str | None = None, **proof: str
) -> Login:
    """A token for a service account.

    Args:
        provider: Whom to ask.
        client_id: The service account.
        secret: Its secret, if that is its proof.
        proof: Else what proves who it is, as fields of the request.
    """
    asked = for_audience(provider) | proof
    if provider.service_scope:
        asked["scope"] = provider.service_scope
    method = _method(secret, provider)
    with oauth_client(
        provider.token_endpoint, provider.issuer, client_id, secret, method=method
    ) as client:
        answer = client.fetch_token(
            provider.token_endpoint, grant_type="client_credentials", **asked
        )
    # There is nobody whom an ID token could be about.
    return login_from(answer, replace(provider, id_tokens=False), client_id)


def _method(secret: str | None, of: Provider | Login) -> str:
    if not secret:
        return "none"
    return "client_secret_post" if of.secret_in_body else "client_secret_basic"


def as_login_client(of: Provider | Login, endpoint: str) -> AbstractContextManager[Any]:
    """Authlib's client for requests of the client that logs people in.

    Args:
        of: The provider, or a login there.
        endpoint: Where the requests go.
    """
    secret = of.client_secret or None
    return oauth_client(endpoint, of.issuer, of.client_id, secret, method=_method(secret, of))


def refresh(login: Login) -> Login:
    """The next token of a login; its refresh token is used up.

    Providers need not give new ID tokens: where calls carry those and none comes, the login ends
    with the one it has.
    """
    asked = for_audience(login)
    with as_login_client(login, login.token_endpoint) as client:
        answer = client.refresh_token(
            login.token_endpoint, refresh_token=login.refresh_token, **asked
        )
    if login.id_tokens and "id_token" not in answer:
        return replace(login, refresh_token="")
    return replace(
        login,
        **_bearer(answer, login.issuer, id_tokens=login.id_tokens),
        refresh_token=str(answer.get("refresh_token") or login.refresh_token),
    )


def revoke(login: Login) -> None:
    """Take the tokens of a login back at its provider.

    Raises:
        FailedPrecondition: The provider takes none back.
        StudbookError: It could not be told, or did not do it.
    """
    tokens = {"refresh_token": login.refresh_token}
    if not login.id_tokens:
        tokens["access_token"] = login.access_token
    if not login.issuer:
        return
    if not login.revocation_endpoint:
        message = f"The login provider {login.issuer} takes no tokens back."
        raise FailedPrecondition(message)
    with as_login_client(login, login.revocation_endpoint) as client:
        for kind, token in tokens.items():
            if token:
                _check_revoked(
                    client.revoke_token(
                        login.revocation_endpoint, token=token, token_type_hint=kind
                    )
                )


def _check_revoked(answer: httpx.Response) -> None:
    # Providers whose access tokens nobody asks about may say that they cannot be taken back.
    if answer.status_code == httpx.codes.BAD_REQUEST and "unsupported_token_type" in answer.text:
        return
    answer.raise_for_status()


def end_session_url(login: Login, *, hint: bool) -> str:
    """Where a browser ends the session at the provider; empty where there is no such place.

    Args:
        login: The login.
        hint: Whether the address says by the ID token whose session is meant, so that the provider
            need not ask. It names the person, so it is not for others to read.
    """
    if not login.end_session_endpoint:
        return ""
    # One of them says it all, and where tokens are made out to others, both seem to differ.
    query = {"client_id": login.client_id}
    if hint and login.id_token:
        query = {"id_token_hint": login.id_token}
    return str(httpx.URL(login.end_session_endpoint).copy_merge_params(query))


def login_from(
    answer: Mapping[str, Any], provider: Provider, client_id: str, *, session: bool = False
) -> Login:
    """What to keep of a provider's answer.

    Args:
        answer: The provider's answer.
        provider: Who gave it.
        client_id: To whom.
        session: Whether somebody has a session at the provider now, in a browser.
    """
    return Login(
        **_bearer(answer, provider.issuer, id_tokens=provider.id_tokens),
        refresh_token=str(answer.get("refresh_token") or ""),
        issuer=provider.issuer,
        client_id=client_id,
        token_endpoint=provider.token_endpoint,
        revocation_endpoint=provider.revocation_endpoint,
        audience=provider.audience,
        audience_parameter=provider.audience_parameter,
        id_tokens=provider.id_tokens,
        client_secret=provider.client_secret,
        secret_in_body=provider.secret_in_body,
        id_token=str(answer.get("id_token") or "") if session else "",
        end_session_endpoint=provider.end_session_endpoint if session else "",
    )


def _bearer(answer: Mapping[str, Any], issuer: str, *, id_tokens: bool) -> dict[str, Any]:
    """What calls carry, and when it expires."""
    name = "id_token" if id_tokens else "access_token"
    token = answer.get(name)
    if not isinstance(token, str) or not token:
        message = f"The login provider {issuer} answered without an {name.replace('_', ' ')}."
        raise Unavailable(message)
    now = time.time()
    lifetime = answer.get("expires_in")
    # It is about the access token; and some providers leave it out.
    if id_tokens or not isinstance(lifetime, int | float):
        expires_at = expiry_of(token)
    else:
        expires_at = now + float(lifetime)
    return {"access_token": token, "expires_at": expires_at, "obtained_at": now}
