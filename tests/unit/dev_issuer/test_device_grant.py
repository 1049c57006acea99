"""Logging a device in that has no browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.dev_issuer.device_logins import DeviceLogin, DeviceLogins
from tests.unit.dev_issuer.browser import Browser
from tests.unit.dev_issuer.login_attempt import verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.unit.conftest import ServedIssuer

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


def begin(http: httpx.Client, **changes: str) -> dict[str, Any]:
    form = {"client_id": "studbook-cli", "scope": "openid groups offline_access", **changes}
    answer = http.post("/people/device_authorization", data=form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ask(http: httpx.Client, codes: dict[str, Any], **changes: str) -> httpx.Response:
    form = {
        "grant_type": GRANT,
        "client_id": "studbook-cli",
        "device_code": codes["device_code"],
        **changes,
    }
    return http.post("/people/token", data=form)


def test_somebody_logs_it_in(http: httpx.Client, browser: Browser) -> None:
    codes = begin(http)

    page = browser.open(codes["verification_uri_complete"])
    assert codes["user_code"] in page
    assert "Logged in" in browser.submit(sub="ada")

    tokens = ask(http, codes).json()
    assert verified(http, "people", tokens["access_token"]).claims["sub"] == "ada"
    assert verified(http, "people", tokens["id_token"]).claims["aud"] == "studbook-cli"
    form = {"grant_type": "refresh_token", "client_id": "studbook-cli"}
    form["refresh_token"] = tokens["refresh_token"]
    assert http.post("/people/token", data=form).status_code == 200


def test_the_code_may_be_typed_any_way(http: httpx.Client, browser: Browser) -> None:
    codes = begin(http)
    typed = codes["user_code"].replace("-", " ").lower()

    assert "your device shows" in browser.open(codes["verification_uri"])
    assert codes["user_code"] in browser.open(f"{codes['verification_uri']}?user_code={typed}")


def test_with_a_password(http: httpx.Client, browser: Browser, issuer: ServedIssuer) -> None:
    codes = begin(http)
    browser.open(codes["verification_uri_complete"])

    assert "do not match" in browser.submit(sub="linus", password="wrong")
    assert ask(http, codes).json()["error"] == "authorization_pending"
    assert "Logged in" in browser.submit(sub="linus", password=issuer.password)
    assert ask(http, codes).status_code == 200


def test_nobody_yet_and_too_often(http: httpx.Client) -> None:
    codes = begin(http)

    assert codes["interval"] == 60
    assert ask(http, codes).json()["error"] == "authorization_pending"
    assert ask(http, codes).json()["error"] == "slow_down"


def test_refused(http: httpx.Client, browser: Browser) -> None:
    codes = begin(http)
    browser.open(codes["verification_uri_complete"])

    assert "not logged in" in browser.submit(refuse="yes")
    assert ask(http, codes).json()["error"] == "access_denied"


def test_tokens_are_given_once_and_codes_answered_once(
    http: httpx.Client, browser: Browser
) -> None:
    codes = begin(http)
    browser.open(codes["verification_uri_complete"])
    browser.submit(sub="ada")

    assert "no longer" in browser.open(codes["verification_uri_complete"])
    assert ask(http, codes).status_code == 200
    assert ask(http, codes).json()["error"] == "invalid_request"


def test_form_of_another_site_logs_nobody_in(http: httpx.Client, browser: Browser) -> None:
    codes = begin(http)
    browser.open(codes["verification_uri_complete"])

    assert "out of date" in browser.submit(sub="ada", proof="forged")
    assert ask(http, codes).json()["error"] == "authorization_pending"


def test_page_of_one_code_does_not_answer_another(http: httpx.Client, browser: Browser) -> None:
    mine, theirs = begin(http), begin(http)
    browser.open(mine["verification_uri_complete"])
    assert browser.page is not None
    browser.page.request.url = browser.page.url.copy_set_param("user_code", theirs["user_code"])

    assert "out of date" in browser.submit(sub="ada")
    assert ask(http, theirs).json()["error"] == "authorization_pending"


def test_unknown_code(browser: Browser, issuer: ServedIssuer) -> None:
    assert "no login with this code" in browser.open(f"{issuer.url}/device?user_code=BCDF-GHJK")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "serving"}, "invalid_client"),
    ],
)
def test_what_no_device_may_ask_for(
    http: httpx.Client, changes: dict[str, str], error: str
) -> None:
    form = {"client_id": "studbook-cli", "scope": "openid", **changes}
    answer = http.post("/people/device_authorization", data=form)

    assert answer.status_code in {400, 401}
    assert answer.json()["error"] == error


def test_discovery_says_where(http: httpx.Client, issuer: ServedIssuer) -> None:
    document = http.get("/people/.well-known/openid-configuration").json()

    assert document["device_authorization_endpoint"] == f"{issuer.url}/device_authorization"
    assert GRANT in document["grant_types_supported"]


def test_expired_login_cannot_be_answered() -> None:
    logins = DeviceLogins()
    over = DeviceLogin("cli", "", "BCDF-GHJK", interval_s=5, expires_at=0)
    logins.add("device", over)

    assert logins.pending("BCDF-GHJK") is None
    assert over.is_expired()


def test_interval_grows_with_every_question_that_comes_too_soon() -> None:
    moment = 0.0
    logins = DeviceLogins(now=lambda: moment)
    login = DeviceLogin("cli", "", "BCDF-GHJK", interval_s=5, expires_at=0)

    assert not logins.asks_too_often(login)
    moment = 4.9
    assert logins.asks_too_often(login)
    moment = 14.0
    assert logins.asks_too_often(login), "10 s are asked for by now"
    moment = 29.0
    assert not logins.asks_too_often(login)
