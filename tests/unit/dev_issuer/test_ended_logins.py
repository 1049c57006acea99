"""Logging out at the issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    import httpx

    from tests.unit.conftest import ServedIssuer
    from tests.unit.dev_issuer.login_attempt import LoginAttempt

BYE = "https://studbook.example.com/bye"


def revoke(http: httpx.Client, token: str, **changes: str) -> httpx.Response:
    form = {"token": token, "client_id": "studbook-cli", **changes}
    return http.post("/people/revoke", data=form)


def userinfo(http: httpx.Client, token: str) -> int:
    return http.get("/people/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code


class TestRevocation:
    @pytest.mark.parametrize("hint", ["refresh_token", "access_token", ""])
    def test_refresh_token_ends_the_login(self, attempt: LoginAttempt, hint: str) -> None:
        token = attempt.tokens()["refresh_token"]

        assert revoke(attempt.http, token, token_type_hint=hint).status_code == 200
        assert attempt.refresh(token).json()["error"] == "invalid_grant"

    def test_access_token_ends_alone(self, attempt: LoginAttempt) -> None:
        tokens = attempt.tokens()

        assert userinfo(attempt.http, tokens["access_token"]) == 200
        assert revoke(attempt.http, tokens["access_token"]).status_code == 200
        assert userinfo(attempt.http, tokens["access_token"]) == 401
        assert attempt.refresh(tokens["refresh_token"]).status_code == 200

    def test_unknown_token_is_no_error(self, http: httpx.Client) -> None:
        assert revoke(http, "unknown").status_code == 200

    def test_only_its_client_may(
        self, attempt: LoginAttempt, http: httpx.Client, issuer: ServedIssuer
    ) -> None:
        tokens = attempt.tokens()
        for token in (tokens["refresh_token"], tokens["access_token"]):
            form = {"token": token}
            answer = http.post("/people/revoke", data=form, auth=("serving", issuer.service_secret))
            assert answer.json()["error"] == "invalid_grant"
        assert attempt.refresh(tokens["refresh_token"]).status_code == 200

    def test_service_account_takes_its_token_back(
        self, http: httpx.Client, issuer: ServedIssuer
    ) -> None:
        account = ("serving", issuer.service_secret)
        form = {"grant_type": "client_credentials"}
        token = http.post("/people/token", data=form, auth=account).json()["access_token"]

        answer = http.post("/people/revoke", data={"token": token}, auth=account)
        assert answer.status_code == 200


class TestLogoutByTheClient:
    def log_out(self, http: httpx.Client, **query: str) -> httpx.Response:
        return http.get("/people/logout", params=query)

    def test_ends_the_login_of_the_id_token(self, attempt: LoginAttempt) -> None:
        ended, other = attempt.tokens(), attempt.tokens()

        answer = self.log_out(attempt.http, id_token_hint=ended["id_token"])

        assert answer.status_code == 200
        assert "Logged out" in answer.text
        assert attempt.refresh(ended["refresh_token"]).json()["error"] == "invalid_grant"
        assert attempt.refresh(other["refresh_token"]).status_code == 200

    def test_goes_back_where_the_client_is_registered(self, attempt: LoginAttempt) -> None:
        answer = self.log_out(
            attempt.http,
            id_token_hint=attempt.tokens()["id_token"],
            post_logout_redirect_uri=BYE,
            state="s1",
        )

        assert answer.status_code == 302
        target = urlsplit(answer.headers["location"])
        assert target._replace(query="").geturl() == BYE
        assert parse_qs(target.query) == {"state": ["s1"]}

    @pytest.mark.parametrize(
        "elsewhere", [BYE + "/", BYE + "?x=1", "https://evil.example", "javascript:alert(1)"]
    )
    def test_goes_nowhere_else(self, attempt: LoginAttempt, elsewhere: str) -> None:
        answer = self.log_out(
            attempt.http,
            id_token_hint=attempt.tokens()["id_token"],
            post_logout_redirect_uri=elsewhere,
        )

        assert answer.status_code == 200
        assert "location" not in answer.headers

    def test_goes_nowhere_for_nobody(self, http: httpx.Client) -> None:
        answer = self.log_out(http, client_id="studbook-cli", post_logout_redirect_uri=BYE)

        assert answer.status_code == 200

    @pytest.mark.parametrize("hint", ["made.up.token", "e30.e30.", "x"])
    def test_forged_id_token_ends_nothing(self, http: httpx.Client, hint: str) -> None:
        assert self.log_out(http, id_token_hint=hint).status_code == 400

    def test_id_token_of_another_client(self, attempt: LoginAttempt) -> None:
        tokens = attempt.tokens()
        answer = self.log_out(attempt.http, id_token_hint=tokens["id_token"], client_id="serving")

        assert answer.status_code == 400
        assert attempt.refresh(tokens["refresh_token"]).status_code == 200

    def test_discovery_says_where(self, http: httpx.Client, issuer: ServedIssuer) -> None:
        document = http.get("/people/.well-known/openid-configuration").json()

        assert document["end_session_endpoint"] == f"{issuer.url}/logout"
        assert "none" in document["revocation_endpoint_auth_methods_supported"]
