"""Logging people in: the authorisation endpoint and the code's redemption."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.unit.dev_issuer.login_attempt import LoginAttempt, redirected, verified

if TYPE_CHECKING:
    from tests.unit.conftest import ServedIssuer


def test_a_terminal_logs_in_without_a_browser(attempt: LoginAttempt, issuer: ServedIssuer) -> None:
    answer = redirected(attempt.authorize())

    assert answer["state"] == attempt.state
    assert answer["iss"] == issuer.url
    assert attempt.redeem(answer["code"]).status_code == 200


def test_access_token_says_who_and_for_what(attempt: LoginAttempt, issuer: ServedIssuer) -> None:
    token = verified(attempt.http, "people", attempt.tokens()["access_token"])

    assert token.header["typ"] == "at+jwt"
    assert token.header["kid"]
    assert token.claims["iss"] == issuer.url
    assert token.claims["aud"] == "studbook"
    assert token.claims["sub"] == "ada"
    assert token.claims["groups"] == ["data-science"]
    assert token.claims["client_id"] == "studbook-cli"
    assert token.claims["exp"] - token.claims["iat"] == 3600
    assert token.claims["jti"]


def test_id_token_is_for_the_client_only(attempt: LoginAttempt) -> None:
    code = attempt.code(nonce="n-42")
    token = verified(attempt.http, "people", attempt.redeem(code).json()["id_token"])

    assert token.header["typ"] == "JWT"
    assert token.claims["aud"] == "studbook-cli"
    assert token.claims["nonce"] == "n-42"
    assert token.claims["at_hash"]


@pytest.mark.parametrize(
    "redirect_uri",
    ["http://127.0.0.1:1/callback", "http://127.0.0.1/callback", "http://[::1]:9000/callback"],
)
def test_loopback_redirects_may_use_any_port(attempt: LoginAttempt, redirect_uri: str) -> None:
    answer = attempt.authorize(redirect_uri=redirect_uri)

    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{redirect_uri}?")


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://127.0.0.1:51234/other",
        "http://127.0.0.1:51234/callback?x=1",
        "http://127.0.0.1:51234/callback/",
        "http://127.0.0.1.example.com/callback",
        "http://ada@127.0.0.1/callback",
        "https://127.0.0.1/callback",
        "http://example.com/callback",
        "javascript:alert(1)",
        None,
    ],
)
def test_other_redirects_get_a_page_and_no_code(
    attempt: LoginAttempt, redirect_uri: str | None
) -> None:
    answer = attempt.authorize(redirect_uri=redirect_uri)

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "cannot be answered" in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"login_hint": "linus"}, "login_required"),
        ({"login_hint": "nobody"}, "login_required"),
        ({"login_hint": None}, "login_required"),
    ],
)
def test_refused_requests_name_the_error_at_the_client(
    attempt: LoginAttempt, changes: dict[str, str | None], error: str
) -> None:
    answer = redirected(attempt.authorize(**changes))

    assert answer["error"] == error
    assert answer["state"] == attempt.state
    assert "code" not in answer


def test_unknown_client_gets_a_page(attempt: LoginAttempt) -> None:
    assert attempt.authorize(client_id="who").status_code == 400


def test_service_account_cannot_log_people_in(attempt: LoginAttempt) -> None:
    assert attempt.authorize(client_id="serving").status_code == 400


def test_another_web_page_cannot_log_somebody_in_silently(attempt: LoginAttempt) -> None:
    attempt.http.headers["Sec-Fetch-Site"] = "cross-site"

    assert redirected(attempt.authorize())["error"] == "login_required"


def test_nonce_cannot_be_used_twice(attempt: LoginAttempt) -> None:
    nonce = attempt.state
    attempt.code(nonce=nonce)

    assert redirected(attempt.authorize(nonce=nonce))["error"] == "invalid_request"


def test_repeated_parameters_are_refused(attempt: LoginAttempt) -> None:
    query = httpx.QueryParams(attempt.parameters()).add("redirect_uri", "http://127.0.0.1/callback")

    assert attempt.http.get("/people/authorize", params=query).status_code == 400


def test_code_is_good_once_and_reuse_ends_the_login(attempt: LoginAttempt) -> None:
    code = attempt.code()
    tokens = attempt.redeem(code).json()

    assert attempt.redeem(code).json()["error"] == "invalid_grant"
    assert attempt.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "x" * 43},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
        {"code": "made-up"},
    ],
)
def test_code_needs_its_verifier_and_redirect(
    attempt: LoginAttempt, changes: dict[str, str]
) -> None:
    answer = attempt.redeem(**({"code": attempt.code()} | changes))

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"


def test_code_without_verifier_is_refused(attempt: LoginAttempt) -> None:
    assert attempt.redeem(attempt.code(), code_verifier="").json()["error"] == "invalid_request"


class TestLoginPage:
    def open(self, attempt: LoginAttempt) -> httpx.Response:
        return attempt.authorize(prompt=None, login_hint=None)

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        proof = re.search(r'name="proof" value="([0-9a-f]+)"', page.text)
        assert proof is not None
        client_cookie = {"Cookie": page.headers["set-cookie"].split(";")[0]}
        form = {"proof": proof[1], **fields}
        return self.http.post(str(page.url), data=form, headers=client_cookie)

    @pytest.fixture(autouse=True)
    def _client(self, http: httpx.Client) -> None:
        self.http = http

    def test_one_click_for_demo_people(self, attempt: LoginAttempt) -> None:
        page = self.open(attempt)

        assert 'value="ada"' in page.text
        assert 'value="linus"' not in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        answer = redirected(self.submit(page, sub="ada"))
        assert attempt.redeem(answer["code"]).status_code == 200

    def test_password(self, attempt: LoginAttempt, issuer: ServedIssuer) -> None:
        answer = redirected(self.submit(self.open(attempt), sub="linus", password=issuer.password))

        token = attempt.redeem(answer["code"]).json()["access_token"]
        assert verified(self.http, "people", token).claims["sub"] == "linus"

    @pytest.mark.parametrize(
        "fields",
        [
            {"sub": "linus", "password": "wrong"},
            {"sub": "nobody", "password": ""},
            {"sub": "ada", "password": ""},
            {"sub": "linus"},
            {},
        ],
    )
    def test_wrong_password_or_none(self, attempt: LoginAttempt, fields: dict[str, str]) -> None:
        answer = self.submit(self.open(attempt), **fields)

        assert answer.status_code == 401
        assert "do not match" in answer.text

    def test_form_needs_our_cookie(self, attempt: LoginAttempt) -> None:
        page = self.open(attempt)
        page.headers["set-cookie"] = "studbook_dev_login=forged"

        assert self.submit(page, sub="ada").status_code == 401

    def test_form_is_for_one_request_only(self, attempt: LoginAttempt) -> None:
        page = self.open(attempt)
        elsewhere = page.url.copy_set_param("redirect_uri", "http://127.0.0.1:1/callback")
        page.request.url = elsewhere

        assert self.submit(page, sub="ada").status_code == 401
