"""Service accounts that prove by a private key who they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from tests.unit.dev_issuer.login_attempt import verified

if TYPE_CHECKING:
    import httpx

    from tests.unit.conftest import ServedIssuer

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STRANGER = ECKey.generate_key("P-256")
count = iter(range(1_000_000))


def assertion(issuer: ServedIssuer, key: Any = None, alg: str = "ES256", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": "robot",
        "sub": "robot",
        "aud": issuer.url,
        "iat": now,
        "exp": now + 60,
        "jti": f"j{next(count)}",
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    key = key or ECKey.import_key(issuer.key_file("ec-1").read_bytes())
    return jwt.encode({"alg": alg, "kid": "ec-1"}, claims, key, algorithms=[alg])


def ask(http: httpx.Client, text: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": TYPE,
        "client_assertion": text,
        **changes,
    }
    return http.post("/people/token", data=form)


@pytest.mark.parametrize("endpoint", ["", "/token"])
def test_gets_a_token(http: httpx.Client, issuer: ServedIssuer, endpoint: str) -> None:
    answer = ask(http, assertion(issuer, aud=issuer.url + endpoint))

    claims = verified(http, "people", answer.json()["access_token"]).claims
    assert claims["sub"] == claims["client_id"] == "robot"


def test_is_good_once(http: httpx.Client, issuer: ServedIssuer) -> None:
    text = assertion(issuer)

    assert ask(http, text).status_code == 200
    assert ask(http, text).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"exp": int(time.time()) - 120},
        {"exp": None},
        {"exp": int(time.time()) + 86_400},
        {"jti": None},
        {"iss": "serving"},
        {"sub": "nobody"},
        {"sub": "serving", "iss": "serving"},
        {"sub": "studbook-cli", "iss": "studbook-cli"},
        {"key": STRANGER},
        {"key": OctKey.generate_key(256), "alg": "HS256"},
    ],
    ids=" ".join,
)
def test_refused(http: httpx.Client, issuer: ServedIssuer, changes: dict[str, Any]) -> None:
    answer = ask(http, assertion(issuer, **changes))

    assert answer.status_code in {400, 401}
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30."])
def test_no_assertion(http: httpx.Client, text: str) -> None:
    assert ask(http, text).json()["error"] == "invalid_client"


def test_secret_does_not_replace_a_key(http: httpx.Client) -> None:
    form = {"grant_type": "client_credentials"}
    answer = http.post("/people/token", data=form, auth=("robot", ""))

    assert answer.json()["error"] == "invalid_client"
