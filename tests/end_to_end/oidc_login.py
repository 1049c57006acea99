"""Tokens as a stranger's client would get them: plain OAuth 2 over HTTP, nothing of the product."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import parse_qs, urlsplit

import httpx

REDIRECT = "http://127.0.0.1:9/callback"


def _http() -> httpx.Client:
    return httpx.Client(timeout=10, trust_env=False)


def person_token(issuer: str, person: str) -> str:
    """An access token of a demo person: authorisation code with PKCE, without a browser."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    state = secrets.token_urlsafe(16)
    with _http() as http:
        described = http.get(f"{issuer}/.well-known/openid-configuration").json()
        answer = http.get(
            described["authorization_endpoint"],
            params={
                "response_type": "code",
                "client_id": "studbook-cli",
                "redirect_uri": REDIRECT,
                "scope": "openid profile groups",
                "state": state,
                "code_challenge": challenge.decode(),
                "code_challenge_method": "S256",
                "prompt": "none",
                "login_hint": person,
            },
        )
        returned = parse_qs(urlsplit(answer.headers["location"]).query)
        assert returned["state"] == [state]
        tokens = http.post(
            described["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "client_id": "studbook-cli",
                "code": returned["code"][0],
                "redirect_uri": REDIRECT,
                "code_verifier": verifier,
            },
        )
    return str(tokens.json()["access_token"])


def service_token(issuer: str, client: str, secret: str) -> str:
    """An access token of a service account: client credentials."""
    with _http() as http:
        described = http.get(f"{issuer}/.well-known/openid-configuration").json()
        tokens = http.post(
            described["token_endpoint"],
            data={"grant_type": "client_credentials"},
            auth=(client, secret),
        )
    return str(tokens.json()["access_token"])


def job_token(issuer: str, secret: str, **changes: str) -> str:
    """The token that the CI gives to a job of the release pipeline, with changes to the job;
    a field that is changed to nothing is left out.
    """
    job = {
        "repository": "acme/wine-cultivar",
        "ref": "refs/heads/main",
        "environment": "production",
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "workflow": "release.yml",
        "run_id": "1",
        "audience": "studbook",
        **changes,
    }
    job = {name: value for name, value in job.items() if value}
    with _http() as http:
        answer = http.post(f"{issuer}/token", json=job, auth=("ci", secret))
    return str(answer.json()["value"])
