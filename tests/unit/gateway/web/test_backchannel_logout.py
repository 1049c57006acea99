"""A provider tells that a login has ended, and is believed when it is the provider."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.patience import wait_until
from tests.unit.gateway.loopback_issuer import AUDIENCE, compact, ec_key, rsa_key
from tests.unit.gateway.web.served_pages import WEB, Pages, serving_pages

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.plain_browser import PlainBrowser
    from tests.unit.gateway.web.served_pages import LoginIssuer

EVENT = "http://schemas.openid.net/event/backchannel-logout"
_numbers = itertools.count()


def claims(issuer: LoginIssuer, **changes: Any) -> dict[str, Any]:
    """Those of a good logout token, with some changed; None takes one away."""
    now = int(time.time())
    whole = {
        "iss": issuer.url,
        "aud": "studbook-web",
        "iat": now,
        "exp": now + 120,
        "jti": f"logout-{next(_numbers)}",
        "sub": "ada",
        "events": {EVENT: {}},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def logout_token(issuer: LoginIssuer, header: dict[str, Any] | None = None, **changes: Any) -> str:
    said = {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt", **(header or {})}
    return compact(said, claims(issuer, **changes), rsa_key(), "RS256")


def tell(pages: Pages, token: str, **more: str) -> httpx.Response:
    """Do what the provider does."""
    return post(pages.browser(), urlencode({"logout_token": token, **more}))


def post(
    browser: PlainBrowser, body: str, content_type: str = "application/x-www-form-urlencoded"
) -> httpx.Response:
    headers = {"content-type": content_type}
    return browser.send("POST", "/backchannel-logout", headers=headers, content=body.encode())


def is_signed_in(browser: PlainBrowser) -> bool:
    answer = browser.get("/account")
    assert answer.status_code in {200, 303}
    return answer.status_code == 200


def signed_in(pages: Pages, provider_session: str = "", **identity: Any) -> PlainBrowser:
    pages.issuer.identity = {"sid": provider_session or None, **identity}
    pages.issuer.access = {"sub": identity.get("sub", "ada")}
    return pages.signed_in()


def test_one_session_of_several(pages: Pages, login_issuer: LoginIssuer) -> None:
    one, other = signed_in(pages, "s1"), signed_in(pages, "s2")

    answer = tell(pages, logout_token(login_issuer, sid="s1"))

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (is_signed_in(one), is_signed_in(other)) == (False, True)


def test_session_that_is_named_alone(pages: Pages, login_issuer: LoginIssuer) -> None:
    one, other = signed_in(pages, "s1"), signed_in(pages, "s2")
    assert tell(pages, logout_token(login_issuer, sub=None, sid="s1")).status_code == 200
    assert (is_signed_in(one), is_signed_in(other)) == (False, True)


def test_all_of_a_person(pages: Pages, login_issuer: LoginIssuer) -> None:
    hers = [signed_in(pages, "s1"), signed_in(pages, "s2"), signed_in(pages)]
    his = signed_in(pages, "s3", sub="max")

    assert tell(pages, logout_token(login_issuer)).status_code == 200

    assert [is_signed_in(browser) for browser in hers] == [False] * 3
    assert is_signed_in(his)


def test_session_that_was_not_named_at_the_login(pages: Pages, login_issuer: LoginIssuer) -> None:
    """It may be the one, so it ends; one that was named is another."""
    unnamed, other = signed_in(pages), signed_in(pages, "s2")
    assert tell(pages, logout_token(login_issuer, sid="s1")).status_code == 200
    assert (is_signed_in(unnamed), is_signed_in(other)) == (False, True)


def test_session_of_nobody_named_ends_none_that_is_not_named(
    pages: Pages, login_issuer: LoginIssuer
) -> None:
    unnamed = signed_in(pages)
    assert tell(pages, logout_token(login_issuer, sub=None, sid="s1")).status_code == 200
    assert is_signed_in(unnamed)


def test_what_the_login_was_given_is_taken_back(pages: Pages, login_issuer: LoginIssuer) -> None:
    login_issuer.refresh = "r1"
    signed_in(pages, "s1")
    assert tell(pages, logout_token(login_issuer, sid="s1")).status_code == 200
    wait_until(lambda: any(kind == "revoke" for kind, _ in login_issuer.forms))
    assert [form["token"] for kind, form in login_issuer.forms if kind == "revoke"] == ["r1"]


def test_provider_that_knows_people_by_several_subjects(
    login_issuer: LoginIssuer, tmp_path: Path
) -> None:
    """The one of ID tokens is meant."""
    login_issuer.behave()
    provider = WEB.replace("studbook-web", "studbook-web, subjects_differ: true")
    with serving_pages(login_issuer, tmp_path, provider=provider) as pages:
        login_issuer.identity = {"sub": "of-this-client"}
        browser = pages.signed_in()
        assert tell(pages, logout_token(login_issuer, sub="ada")).status_code == 200
        assert is_signed_in(browser)
        assert tell(pages, logout_token(login_issuer, sub="of-this-client")).status_code == 200
        assert not is_signed_in(browser)


def test_every_replica_knows(login_issuer: LoginIssuer, tmp_path: Path) -> None:
    login_issuer.behave()
    with (
        serving_pages(login_issuer, tmp_path) as pages,
        serving_pages(login_issuer, tmp_path, origin=pages.origin) as other,
    ):
        browser, token = pages.signed_in(), logout_token(login_issuer)
        assert tell(other, token).status_code == 200
        assert not is_signed_in(browser)
        assert tell(pages, token).status_code == 400


def test_token_is_good_once(pages: Pages, login_issuer: LoginIssuer) -> None:
    token = logout_token(login_issuer)
    assert tell(pages, token).status_code == 200
    browser = signed_in(pages)
    assert tell(pages, token).status_code == 400
    assert is_signed_in(browser)
    # Another issuer may use the same id; the same issuer may not, whatever it says otherwise.
    again = logout_token(login_issuer, jti=f"logout-{next(_numbers) - 1}", sid="s9")
    assert tell(pages, again).status_code == 400


def ago(seconds: int) -> int:
    return int(time.time()) - seconds


FORGERIES: dict[str, dict[str, Any]] = {
    "no events": {"events": None},
    "events as a list": {"events": [EVENT]},
    "events as text": {"events": EVENT},
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "an event that says nothing": {"events": {EVENT: None}},
    "an event that is true": {"events": {EVENT: True}},
    "a nonce": {"nonce": "n"},
    "an empty nonce": {"nonce": ""},
    "no iat": {"iat": None},
    "iat as text": {"iat": str(int(time.time()))},
    "iat true": {"iat": True},
    "iat of an hour ago": {"iat": ago(3600), "exp": None},
    "iat to come": {"iat": ago(-3600), "exp": ago(-7200)},
    "expired": {"exp": ago(70)},
    "exp as text": {"exp": "never"},
    "no jti": {"jti": None},
    "empty jti": {"jti": ""},
    "jti as a number": {"jti": 7},
    "jti without measure": {"jti": "j" * 600},
    "nobody": {"sub": None, "sid": None},
    "sub as a list": {"sub": ["ada"]},
    "empty sub": {"sub": ""},
    "sid as a number": {"sid": 1},
    "for another client": {"aud": "studbook-cli"},
    "for the API": {"aud": AUDIENCE},
    "for others too": {"aud": ["studbook-web", "evil"]},
    "for nobody": {"aud": None},
    "of another issuer": {"iss": "https://login.example.com"},
    "of an issuer that begins alike": {"iss": "http://127.0.0.1"},
    "of no issuer": {"iss": None},
}


@pytest.mark.parametrize("name", FORGERIES)
def test_token_that_is_no_logout_token(pages: Pages, login_issuer: LoginIssuer, name: str) -> None:
    browser = signed_in(pages, "s1")
    answer = tell(pages, logout_token(login_issuer, **{"sid": "s1", **FORGERIES[name]}))
    assert answer.status_code == 400
    assert is_signed_in(browser)


HEADERS: dict[str, dict[str, Any]] = {
    "access token's type": {"typ": "at+jwt"},
    "another type": {"typ": "secevent+jwt"},
    "unknown key": {"kid": "other"},
    "key of its own": {"jwk": {"kty": "oct", "k": "AAAA"}},
    "an address of keys": {"jku": "http://127.0.0.1/keys"},
    "critical": {"crit": ["x"]},
    "none": {"alg": "none"},
    "none in capitals": {"alg": "NONE"},
    "HMAC": {"alg": "HS256"},
    "another curve": {"alg": "ES256"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_that_is_not_what_it_must_be(
    pages: Pages, login_issuer: LoginIssuer, name: str
) -> None:
    browser = signed_in(pages)
    assert tell(pages, logout_token(login_issuer, HEADERS[name])).status_code == 400
    assert is_signed_in(browser)


@pytest.mark.parametrize("how", ["strangers", "unsigned", "HMAC", "id token", "access token"])
def test_token_that_the_provider_did_not_make_for_this(
    pages: Pages, login_issuer: LoginIssuer, how: str
) -> None:
    browser = signed_in(pages)
    said = claims(login_issuer)
    header = {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}
    good = compact(header, said, rsa_key(), "RS256")
    published = json.dumps(login_issuer.keys[0]).encode()
    token = {
        "strangers": lambda: compact(header, said, rsa_key(9), "RS256"),
        "unsigned": lambda: good.rpartition(".")[0] + ".",
        "HMAC": lambda: compact({**header, "alg": "HS256"}, said, published, "HS256"),
        "id token": lambda: login_issuer.token(header={"typ": "JWT"}, aud="studbook-web"),
        "access token": lambda: login_issuer.token(aud="studbook-web"),
    }[how]()
    assert tell(pages, token).status_code == 400
    assert is_signed_in(browser)


def test_token_signed_by_another_kind_of_key_of_the_provider(
    pages: Pages, login_issuer: LoginIssuer
) -> None:
    header = {"alg": "ES256", "kid": "ec", "typ": "JWT"}
    browser = signed_in(pages)
    token = compact(header, claims(login_issuer), ec_key(), "ES256")
    assert tell(pages, token).status_code == 200
    assert not is_signed_in(browser)


def test_logout_token_is_good_for_nothing_else(pages: Pages, login_issuer: LoginIssuer) -> None:
    """Neither as an ID token nor as one for calls."""
    browser = pages.browser()
    asked = pages.begin(browser)
    login_issuer.identity = {"events": {EVENT: {}}, "nonce": None}
    assert pages.finish(browser, asked).status_code == 403
    login_issuer.identity = {}
    login_issuer.access = {"events": {EVENT: {}}}
    assert pages.finish(browser, pages.begin(browser)).status_code == 401


@pytest.mark.parametrize(
    "body", ["", "logout_token=", "logout_token=a&logout_token=b", "logout_token=%ff"]
)
def test_form_without_a_token(pages: Pages, body: str) -> None:
    assert post(pages.browser(), body).status_code == 400


def test_token_in_what_is_no_form(pages: Pages, login_issuer: LoginIssuer) -> None:
    body = json.dumps({"logout_token": logout_token(login_issuer)})
    assert post(pages.browser(), body, "application/json").status_code == 400


def test_browser_cannot_be_made_to_do_it(pages: Pages) -> None:
    """A cookie counts for nothing there, not even for losing it."""
    browser = signed_in(pages)
    asked = pages.begin(browser, "/login/dev")
    before = dict(browser.cookies)
    assert browser.get("/backchannel-logout?logout_token=x").status_code == 405
    assert post(browser, "logout_token=x").status_code == 400
    assert browser.cookies == before
    assert is_signed_in(browser)
    assert pages.finish(browser, asked).status_code == 303
