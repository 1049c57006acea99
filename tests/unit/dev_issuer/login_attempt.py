"""A client of the issuer under test, down to single requests."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet

if TYPE_CHECKING:
    import httpx

CALLBACK = "http://127.0.0.1:51234/callback"


@dataclass
class LoginAttempt:
    """A client in the middle of logging somebody in."""

    http: httpx.Client
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def parameters(self, **changes: str | None) -> dict[str, str]:
        asked = {
            "response_type": "code",
            "client_id": "studbook-cli",
            "redirect_uri": CALLBACK,
            "scope": "openid profile email groups offline_access",
            "state": self.state,
            "nonce": secrets.token_urlsafe(12),
            "code_challenge": create_s256_code_challenge(self.verifier),
            "code_challenge_method": "S256",
            "prompt": "none",
            "login_hint": "ada",
            **changes,
        }
        return {key: value for key, value in asked.items() if value is not None}

    def authorize(self, **changes: str | None) -> httpx.Response:
        return self.http.get("/people/authorize", params=self.parameters(**changes))

    def code(self, **changes: str | None) -> str:
        return redirected(self.authorize(**changes))["code"]

    def redeem(self, code: str, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "studbook-cli",
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.http.post("/people/token", data=form)

    def refresh(self, refresh_token: str, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": "studbook-cli",
            **changes,
        }
        return self.http.post("/people/token", data=form)

    def tokens(self) -> dict[str, Any]:
        answer = self.redeem(self.code())
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def redirected(response: httpx.Response) -> dict[str, str]:
    """The parameters that a redirect carries to the client."""
    assert response.status_code == 302, response.text
    location = urlsplit(response.headers["location"])
    assert location._replace(query="").geturl() == CALLBACK
    return {key: values[0] for key, values in parse_qs(location.query).items()}


def verified(http: httpx.Client, lane: str, token: str) -> jwt.Token:
    """The token, checked with the keys that the issuer publishes."""
    discovery = http.get(f"/{lane}/.well-known/openid-configuration").json()
    keys = KeySet.import_key_set(http.get(discovery["jwks_uri"]).json())
    return jwt.decode(token, keys, algorithms=["ES256", "RS256"])
