"""The token, userinfo and revocation endpoints."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.unit.dev_issuer.login_attempt import LoginAttempt, verified

if TYPE_CHECKING:
    import httpx

    from tests.unit.conftest import ServedIssuer


def test_refresh_token_rotates(attempt: LoginAttempt) -> None:
    first = attempt.tokens()
    second = attempt.refresh(first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert attempt.refresh(second["refresh_token"]).status_code == 200


def test_reused_refresh_token_ends_the_login(attempt: LoginAttempt) -> None:
    first = attempt.tokens()
    second = attempt.refresh(first["refresh_token"]).json()

    assert attempt.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert attempt.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"


def test_of_parallel_refreshes_one_wins(attempt: LoginAttempt) -> None:
    token = attempt.tokens()["refresh_token"]
    barrier = threading.Barrier(4)

    def refresh(_number: int) -> int:
        barrier.wait()
        return attempt.refresh(token).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(refresh, range(4))) == [200, 400, 400, 400]


def test_refresh_cannot_widen_the_scope(attempt: LoginAttempt) -> None:
    tokens = attempt.redeem(attempt.code(scope="openid groups")).json()

    answer = attempt.refresh(tokens["refresh_token"], scope="openid groups email")
    assert answer.json()["error"] == "invalid_scope"


def test_userinfo_follows_the_scope(attempt: LoginAttempt) -> None:
    token = attempt.redeem(attempt.code(scope="openid email")).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}

    answer = attempt.http.get("/people/userinfo", headers=bearer)

    assert answer.json() == {"sub": "ada", "email": "ada@example.com", "email_verified": True}


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer made.up.token"])
def test_userinfo_needs_a_token(http: httpx.Client, header: str) -> None:
    headers = {"Authorization": header} if header else {}

    assert http.get("/people/userinfo", headers=headers).status_code == 401


def test_id_token_is_no_access_token(attempt: LoginAttempt) -> None:
    bearer = {"Authorization": f"Bearer {attempt.tokens()['id_token']}"}

    assert attempt.http.get("/people/userinfo", headers=bearer).status_code == 401


def test_service_account_gets_a_token(http: httpx.Client, issuer: ServedIssuer) -> None:
    answer = http.post(
        "/people/token",
        data={"grant_type": "client_credentials", "resource": "studbook"},
        auth=("serving", issuer.service_secret),
    )

    assert "refresh_token" not in answer.json()
    token = verified(http, "people", answer.json()["access_token"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == token.claims["client_id"] == "serving"
    assert token.claims["aud"] == "studbook"


@pytest.mark.parametrize(
    ("client", "secret", "form", "error"),
    [
        ("serving", "wrong", {}, "invalid_client"),
        ("nobody", "serving-secret", {}, "invalid_client"),
        ("studbook-cli", "x", {}, "invalid_client"),
        ("serving", "serving-secret", {"resource": "other"}, "invalid_target"),
        ("serving", "serving-secret", {"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_refused_client_credentials(
    http: httpx.Client, client: str, secret: str, form: dict[str, str], error: str
) -> None:
    answer = http.post(
        "/people/token", data={"grant_type": "client_credentials", **form}, auth=(client, secret)
    )

    assert answer.status_code in {400, 401}
    assert answer.json()["error"] == error


def test_public_client_gets_no_client_credentials(http: httpx.Client) -> None:
    form = {"grant_type": "client_credentials", "client_id": "studbook-cli"}

    assert http.post("/people/token", data=form).json()["error"] == "invalid_client"


def test_large_body_is_refused(http: httpx.Client) -> None:
    assert http.post("/people/token", content=b"x" * 70_000).status_code == 413


def test_foreign_host_name_is_refused(http: httpx.Client) -> None:
    answer = http.get("/people/jwks", headers={"Host": "attacker.example"})

    assert answer.status_code == 400


def test_published_keys_hold_no_private_parts(http: httpx.Client) -> None:
    for lane in ("people", "ci"):
        (key,) = http.get(f"/{lane}/jwks").json()["keys"]
        assert key["use"] == "sig"
        assert key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)


def test_discovery_names_the_issuer(http: httpx.Client, issuer: ServedIssuer) -> None:
    document = http.get("/people/.well-known/openid-configuration").json()

    assert document["issuer"] == issuer.url
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["token_endpoint"] == f"{issuer.url}/token"
