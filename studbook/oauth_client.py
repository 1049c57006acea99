"""Authlib's OAuth client over plain httpx, for all who ask a login provider for something."""

from __future__ import annotations

import base64
import encodings.idna  # noqa: F401 - names are resolved with it, in threads beside a training
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client

from studbook.address import Address
from studbook.exceptions import Unauthenticated, Unavailable
from studbook.fork_gate import importing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterator

_TIMEOUT_S = 15.0
_AS_JSON = {"Accept": "application/json"}


def _basic(
    client: ClientAuth, _method: str, uri: str, headers: dict[str, str], body: Any
) -> tuple[str, dict[str, str], Any]:
    """A secret in a header, encoded as RFC 6749 (2.3.1) has it, which Authlib leaves out."""
    words = (quote(text, safe="") for text in (client.client_id, client.client_secret))
    headers["Authorization"] = f"Basic {base64.b64encode(':'.join(words).encode()).decode()}"
    return uri, headers, body


class _BodyAuth(ClientAuth, httpx.Auth):
    """Authlib's client authentication, as httpx applies it."""

    DEFAULT_AUTH_METHODS = ClientAuth.DEFAULT_AUTH_METHODS | {"client_secret_basic": _basic}
    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        uri, headers, body = self.prepare(
            request.method, str(request.url), request.headers, request.content
        )
        content = body.encode() if isinstance(body, str) else body
        headers["Content-Length"] = str(len(content))
        yield httpx.Request(request.method, uri, headers=headers, content=content)


class _OAuthClient(OAuth2Client):
    """Authlib's OAuth client over plain httpx."""

    client_auth_class = _BodyAuth

    def ask(self, url: str, **fields: str) -> dict[str, Any]:
        """What another endpoint than that for tokens answers, with the same kinds of errors."""
        auth = self.client_auth(self.token_endpoint_auth_method)
        answer = self.session.post(url, data=fields, auth=auth, headers=_AS_JSON)
        return dict(self.parse_response_token(answer))


def http_client(url: str, trusted: ssl.SSLContext | None = None) -> httpx.Client:
    """An HTTP client for one provider. Redirects are never followed.

    Args:
        url: Where it is.
        trusted: Whose certificates are good; default: what the system, or SSL_CERT_FILE, says.
    """
    # What is on loopback must not be asked for at a proxy.
    local = Address(urlsplit(url).hostname or "", 0).is_loopback
    with importing():  # which a first client does
        return httpx.Client(
            timeout=_TIMEOUT_S,
            follow_redirects=False,
            trust_env=not local,
            verify=_trusted() if trusted is None else trusted,
        )


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are good. Reading them takes longer than most requests do."""
    return httpx.create_ssl_context()


@contextmanager
def oauth_client(
    token_endpoint: str,
    issuer: str,
    client_id: str,
    secret: str | None = None,
    *,
    method: str = "none",
    trusted: ssl.SSLContext | None = None,
) -> Iterator[Any]:
    """Authlib's client for requests to one provider; its failures are `studbook.exceptions`."""
    with http_client(token_endpoint, trusted) as session, in_our_words(issuer):
        yield _OAuthClient(
            session, client_id=client_id, client_secret=secret, token_endpoint_auth_method=method
        )


@contextmanager
def in_our_words(issuer: str) -> Iterator[None]:
    """Turn the failures of HTTP and OAuth into errors of this package, free of secrets."""
    try:
        yield
    except OAuth2Error as error:
        description = f" ({error.description})" if error.description else ""
        raise Unauthenticated(
            f"The login provider {issuer} refused: {error.error}{description}.",
            reason="LOGIN_REFUSED",
            metadata={"issuer": issuer, "error": str(error.error)},
        ) from None
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise Unavailable(f"The login provider {issuer} answered with status {status}.") from None
    except httpx.HTTPError as error:
        message = f"The login provider {issuer} cannot be reached: {error}."
        raise Unavailable(message) from None
    except ValueError:
        # Not chained: a response that is no JSON could still hold a token.
        message = f"The login provider {issuer} answered with something that is not OAuth."
        raise Unavailable(message) from None
