"""A login is finished by the browser that began it, with the answer of its provider."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.plain_browser import LOGIN, SESSION
from tests.unit.gateway.loopback_issuer import AUDIENCE, ec_key, rsa_key
from tests.unit.gateway.web.served_pages import WEB, basic, serving_pages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gateway.web.served_pages import LoginIssuer, Pages


def test_login_asks_with_state_nonce_and_pkce(pages: Pages, login_issuer: LoginIssuer) -> None:
    browser = pages.browser()
    asked = pages.begin(browser, "/login/dev?next=/account?resource=x")
    answer = pages.finish(browser, asked)

    assert answer.headers["location"] == "/account?resource=x"
    assert asked["redirect_uri"] == f"{pages.origin}/callback"
    assert asked["resource"] == "https://studbook.example"
    assert asked["code_challenge_method"] == "S256"
    redeemed = login_issuer.asked("authorization_code")[0]
    challenge = hashlib.sha256(redeemed["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == asked["code_challenge"]
    assert redeemed["redirect_uri"] == asked["redirect_uri"]
    assert len({asked["state"], asked["nonce"], redeemed["code_verifier"]}) == 3


def test_cookies_are_of_this_host_alone(pages: Pages) -> None:
    browser = pages.signed_in()

    for name in (SESSION, LOGIN):
        attributes = {one for one in browser.attributes[name] if not one.startswith("expires")}
        lasts = {one for one in attributes if one.startswith("Max-Age")}
        assert attributes - lasts == {"HttpOnly", "Path=/", "SameSite=lax", "Secure"}
    assert list(browser.cookies) == [SESSION]


def test_account_page_says_who_it_is(pages: Pages) -> None:
    page = pages.signed_in().get("/account").text

    for part in ("user:dev:ada", "data-science", "trainer", "workspaces/main/**", pages.issuer.url):
        assert part in page


def test_client_proves_itself_with_its_secret(login_issuer: LoginIssuer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open-sesame\n")
    provider = WEB.replace("studbook-web", f"studbook-web, client_secret_file: {secret}")
    with serving_pages(login_issuer, tmp_path, provider=provider) as pages:
        pages.signed_in()

    sent = login_issuer.asked("authorization_code")[0]["authorization"]
    assert sent == basic("studbook-web", "open-sesame")


def test_providers_whose_callers_carry_id_tokens(login_issuer: LoginIssuer, tmp_path: Path) -> None:
    login_issuer.identity = {"aud": AUDIENCE}
    login_issuer.access = {"aud": "of no use to us"}
    provider = f"    bearer: id_token\n    web: {{client_id: {AUDIENCE}}}"
    with serving_pages(login_issuer, tmp_path, provider=provider) as pages:
        assert "user:dev:ada" in pages.signed_in().get("/account").text


def test_providers_that_know_people_by_several_subjects(
    login_issuer: LoginIssuer, tmp_path: Path
) -> None:
    login_issuer.identity = {"sub": "of-this-client-alone"}
    provider = "    web: {client_id: studbook-web, subjects_differ: true}"
    with serving_pages(login_issuer, tmp_path, provider=provider) as pages:
        assert "user:dev:ada" in pages.signed_in().get("/account").text


def test_id_token_may_name_our_audience_beside_the_client(pages: Pages) -> None:
    pages.issuer.identity = {"aud": ["studbook-web", AUDIENCE]}
    assert pages.signed_in().get("/account").status_code == 200


@pytest.mark.parametrize(
    "identity",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "studbook-cli"},
        {"aud": None},
        {"aud": ["studbook-web", "other"]},
        {"aud": ["studbook-web", "other"], "azp": "studbook-web"},
        {"aud": ["studbook-web", AUDIENCE], "azp": "other"},
        {"aud": [AUDIENCE]},
        {"aud": ["studbook-web", ["studbook-web"]]},
        {"azp": "other"},
        {"sub": "grace"},
        {"exp": 1},
        {"exp": None},
        {"iat": 2**35},
        {"at_hash": "AAAA"},
        {"iss": "http://127.0.0.1:1/other"},
        pytest.param({"key": rsa_key(1)}, id="another key"),
        pytest.param({"key": ec_key(), "algorithm": "ES384"}, id="another algorithm"),
    ],
    ids=str,
)
def test_id_token_must_answer_this_request(pages: Pages, identity: dict[str, Any]) -> None:
    browser = pages.browser()
    asked = pages.begin(browser)
    pages.issuer.identity = identity

    assert pages.finish(browser, asked).status_code == 403
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    ("access", "status"),
    [
        ({"client_id": "serving", "sub": "serving"}, 403),
        ({"sub": "grace"}, 403),
        ({"aud": "another"}, 401),
        ({"exp": 1, "iat": 0}, 401),
    ],
    ids=str,
)
def test_access_token_decides_who_it_is(pages: Pages, access: dict[str, Any], status: int) -> None:
    browser = pages.browser()
    asked = pages.begin(browser)
    pages.issuer.access = access

    assert pages.finish(browser, asked).status_code == status
    assert SESSION not in browser.cookies


def test_another_issuer_in_the_answer_is_refused(pages: Pages) -> None:
    browser = pages.browser()
    asked = pages.begin(browser)

    assert pages.finish(browser, asked, "&iss=http://127.0.0.1:1").status_code == 400
    assert pages.issuer.forms == []


def test_provider_that_names_itself_must(login_issuer: LoginIssuer, tmp_path: Path) -> None:
    login_issuer.discovery["authorization_response_iss_parameter_supported"] = True
    with serving_pages(login_issuer, tmp_path) as pages:
        browser = pages.browser()
        assert pages.finish(browser, pages.begin(browser)).status_code == 400
        good = pages.finish(browser, pages.begin(browser), f"&iss={login_issuer.url}")
        assert good.status_code == 303


def test_a_login_makes_one_session(pages: Pages) -> None:
    """Even where a provider would take a code twice, and also after the session was ended."""
    browser = pages.browser()
    asked = pages.begin(browser)
    cookie = browser.cookies[LOGIN]
    assert pages.finish(browser, asked).status_code == 303

    again = pages.browser()
    again.cookies[LOGIN] = cookie
    assert pages.finish(again, asked).status_code == 400
    token = browser.token()
    assert browser.form("/logout", {"form_token": token}).status_code == 200
    assert pages.finish(again, asked).status_code == 400
    assert SESSION not in again.cookies


def test_provider_that_says_no(pages: Pages) -> None:
    browser = pages.browser()
    asked = pages.begin(browser)
    answer = browser.get(f"/callback?error=access_denied&state={asked['state']}")

    assert answer.status_code == 403
    assert "did not let you in" in answer.text


def test_provider_that_is_down(login_issuer: LoginIssuer, tmp_path: Path) -> None:
    login_issuer.discovery["issuer"] = "http://127.0.0.1:1"
    with serving_pages(login_issuer, tmp_path) as pages:
        answer = pages.browser().get("/login/dev")

        assert answer.status_code == 503
        assert "try again" in answer.text


def test_unknown_provider_leads_to_the_choice(pages: Pages) -> None:
    answer = pages.browser().get("/login/other")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount")


def test_without_a_web_client_nobody_can_sign_in(login_issuer: LoginIssuer, tmp_path: Path) -> None:
    with serving_pages(login_issuer, tmp_path, provider="") as pages:
        assert "access.yaml" in pages.browser().get("/login").text
