"""Logging out: here, at the login provider, and in the browser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from studbook import login, login_provider
from studbook.cli.__main__ import run
from studbook.exceptions import Unauthenticated
from studbook.login_tokens import StoredLogin
from studbook.logout import LoggedOut, log_out
from studbook.stored_logins import Login
from tests.unit.scripted_provider import scripted_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.stored_logins import StoredLogins
    from tests.unit.conftest import ServedIssuer
    from tests.unit.scripted_provider import ScriptedProvider

pytestmark = pytest.mark.usefixtures("logins")


def never(url: str) -> bool:
    raise AssertionError(url)


def keep(logins: StoredLogins, address: str, made: Login) -> None:
    with logins.locked():
        logins.save(address, made)


def userinfo(issuer: ServedIssuer, made: Login) -> int:
    bearer = {"Authorization": f"Bearer {made.access_token}"}
    return httpx.get(f"{issuer.url}/userinfo", headers=bearer, trust_env=False).status_code


def test_takes_both_tokens_back(address: str, logins: StoredLogins, issuer: ServedIssuer) -> None:
    made = login.as_demo_person(address, "ada")
    keep(logins, address, made)
    assert userinfo(issuer, made) == 200

    assert log_out(address, open_browser=never) == LoggedOut(was_logged_in=True)

    assert StoredLogin(address).token() is None
    assert made.access_token not in logins.path.read_text()
    assert userinfo(issuer, made) == 401
    with pytest.raises(Unauthenticated, match="invalid_grant"):
        login_provider.refresh(made)


def test_ends_the_session_in_the_browser(
    address: str, logins: StoredLogins, issuer: ServedIssuer
) -> None:
    made = login.as_demo_person(address, "ada")
    endpoint = login_provider.discover(address).end_session_endpoint
    session = {"end_session_endpoint": endpoint, "in_browser": True, "id_token": "h.c.s"}
    keep(logins, address, replace(made, **session))  # type: ignore[arg-type]
    opened: list[str] = []

    def open_browser(url: str) -> bool:
        opened.append(url)
        return True

    done = log_out(address, open_browser=open_browser)

    assert done.opened
    assert opened == [f"{issuer.url}/logout?id_token_hint=h.c.s"]
    assert done.session_url == f"{issuer.url}/logout?client_id=studbook-cli", "others may see it"
    assert httpx.get(done.session_url, trust_env=False).status_code == 200


class TestSession:
    LOGIN = Login(
        "a",
        end_session_endpoint="https://login.example.com/bye?tenant=7",
        client_id="studbook-cli",
        id_token="h.c.s",
    )

    def test_address_says_whose_it_is(self) -> None:
        assert login_provider.end_session_url(self.LOGIN, hint=True) == (
            "https://login.example.com/bye?tenant=7&id_token_hint=h.c.s"
        )

    def test_of_another_device_is_only_told(self, address: str, logins: StoredLogins) -> None:
        keep(logins, address, self.LOGIN)
        done = log_out(address, open_browser=never)

        assert done.session_url.startswith("https://login.example.com/bye")
        assert not done.opened

    def test_is_left_alone_when_wanted(self, address: str, logins: StoredLogins) -> None:
        keep(logins, address, replace(self.LOGIN, in_browser=True))

        assert log_out(address, session=False, open_browser=never).session_url == ""

    def test_of_a_demo_person_there_is_none(self, address: str) -> None:
        made = login.as_demo_person(address, "ada")

        assert login_provider.end_session_url(made, hint=True) == ""
        assert made.id_token == ""


class TestProviderThatDoesNotPlayAlong:
    @pytest.fixture
    def provider(self) -> Iterator[ScriptedProvider]:
        with scripted_provider() as serving:
            yield serving

    @pytest.fixture
    def made(self, provider: ScriptedProvider) -> Login:
        return Login(
            "secret-access",
            refresh_token="secret-refresh",
            issuer=provider.issuer,
            client_id="studbook-cli",
            revocation_endpoint=f"{provider.issuer}/revoke",
        )

    def ended(self, address: str, logins: StoredLogins, made: Login) -> tuple[str, ...]:
        keep(logins, address, made)
        done = log_out(address, open_browser=never)
        assert done.was_logged_in
        assert logins.find(address) is None, "it is gone here whatever the provider does"
        assert not any("secret" in sentence for sentence in done.left_undone)
        return done.left_undone

    def test_is_told_of_both_tokens(
        self, address: str, logins: StoredLogins, provider: ScriptedProvider, made: Login
    ) -> None:
        provider.answers["/revoke"] = [(200, {})]

        assert self.ended(address, logins, made) == ()
        assert [asked for _, asked in provider.asked] == [
            {
                "token": "secret-refresh",
                "token_type_hint": "refresh_token",
                "client_id": "studbook-cli",
            },
            {
                "token": "secret-access",
                "token_type_hint": "access_token",
                "client_id": "studbook-cli",
            },
        ]

    def test_takes_no_access_tokens_back(
        self, address: str, logins: StoredLogins, provider: ScriptedProvider, made: Login
    ) -> None:
        provider.answers["/revoke"] = [(200, ""), (400, {"error": "unsupported_token_type"})]

        assert self.ended(address, logins, made) == ()

    @pytest.mark.parametrize("status", [302, 400, 503])
    def test_refuses(
        self,
        address: str,
        logins: StoredLogins,
        provider: ScriptedProvider,
        made: Login,
        status: int,
    ) -> None:
        provider.answers["/revoke"] = [(status, {"error": "no"})]

        (sentence,) = self.ended(address, logins, made)
        assert str(status) in sentence

    def test_is_down(self, address: str, logins: StoredLogins, made: Login) -> None:
        gone = replace(made, revocation_endpoint="http://127.0.0.1:9/revoke")

        (sentence,) = self.ended(address, logins, gone)
        assert "cannot be reached" in sentence

    def test_takes_nothing_back(self, address: str, logins: StoredLogins, made: Login) -> None:
        (sentence,) = self.ended(address, logins, replace(made, revocation_endpoint=""))

        assert "takes no tokens back" in sentence


def test_without_login(address: str) -> None:
    assert log_out(address) == LoggedOut(was_logged_in=False)


def test_token_from_elsewhere_is_only_forgotten(address: str, logins: StoredLogins) -> None:
    keep(logins, address, Login("abc"))

    assert log_out(address) == LoggedOut(was_logged_in=True)


def test_command_says_what_is_left(
    address: str,
    logins: StoredLogins,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STUDBOOK_ADDRESS", address)
    keep(logins, address, replace(TestSession.LOGIN, issuer="https://login.example.com"))

    assert run(["logout"]) == 0
    said = capsys.readouterr().err
    assert f"Logged out at {address}." in said
    assert "takes no tokens back" in said
    assert "To end your session at the login provider, open:\nhttps://login.example.com/bye" in said
