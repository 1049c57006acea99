"""Logging in on a machine without a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from studbook import login
from studbook.cli.__main__ import run
from studbook.device_login import with_device
from studbook.exceptions import FailedPrecondition, StudbookError, Unauthenticated, Unavailable
from tests.unit.dev_issuer.browser import Browser
from tests.unit.scripted_provider import ScriptedProvider, scripted_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from studbook.stored_logins import Login
    from tests.unit.conftest import ServedIssuer
    from tests.unit.identity_server import Identity

pytestmark = pytest.mark.usefixtures("logins")


class Terminal:
    """What a person at a terminal sees, and does while the command waits."""

    def __init__(self, *deeds: Callable[[], object]) -> None:
        self._deeds = list(deeds)
        self.shown: list[str] = []
        self.waits: list[float] = []

    def show(self, text: str) -> None:
        self.shown.append(text)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self._deeds:
            self._deeds.pop(0)()

    def address(self) -> str:
        found = re.search(r"http\S+user_code=\S+", self.shown[0])
        assert found is not None
        return found[0]

    def confirm(self) -> None:
        with Browser() as browser:
            browser.open(self.address())
            browser.submit(sub="ada")

    def refuse(self) -> None:
        with Browser() as browser:
            browser.open(self.address())
            browser.submit(refuse="yes")


def nothing() -> None:
    """Look at the terminal and do nothing."""


def on(address: str, terminal: Terminal) -> Login:
    return with_device(address, show=terminal.show, wait=terminal.wait)


def test_logs_in_when_somebody_confirms(address: str) -> None:
    terminal = Terminal()
    terminal._deeds = [nothing, terminal.confirm]

    made = on(address, terminal)

    assert login.who_am_i(address, made.access_token).principal.id == "user:dev:ada"
    assert made.refresh_token
    assert terminal.waits == [60, 60]
    code = terminal.address().partition("user_code=")[2]
    assert f"It must show the code {code}." in terminal.shown[0]


def test_waits_longer_when_told_to(address: str) -> None:
    terminal = Terminal()
    terminal._deeds = [nothing, nothing, terminal.confirm]

    on(address, terminal)

    assert terminal.waits == [60, 60, 65]


def test_refusal(address: str) -> None:
    terminal = Terminal()
    terminal._deeds = [terminal.refuse]

    with pytest.raises(Unauthenticated, match="was refused") as caught:
        on(address, terminal)
    assert "--device" in caught.value.next_step


BEGUN = {
    "device_code": "d",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://login.example.com/device",
    "expires_in": 30,
}
TOKENS = {"access_token": "a.b.c", "expires_in": 300}


def refused(error: str) -> tuple[int, object]:
    return 400, {"error": error}


class TestOtherProviders:
    @pytest.fixture(autouse=True)
    def provider(self, identity: Identity) -> Iterator[ScriptedProvider]:
        with scripted_provider() as serving:
            identity.providers[0].issuer = serving.issuer
            serving.offer("device_authorization_endpoint", "/device", (200, BEGUN))
            serving.answers["/token"] = [(200, TOKENS)]
            yield serving

    def test_without_an_address_that_holds_the_code(
        self, address: str, provider: ScriptedProvider
    ) -> None:
        terminal = Terminal()

        assert on(address, terminal).access_token == "a.b.c"
        assert "https://login.example.com/device\nand enter the code WDJB-MJHT" in terminal.shown[0]
        assert terminal.waits == [5], "what the standard says where the provider does not"
        assert provider.asked[0][1] == {
            "client_id": "studbook-cli",
            "scope": "openid profile email groups offline_access",
            "resource": "studbook",
        }

    def test_outage_while_waiting_is_waited_through(
        self, address: str, provider: ScriptedProvider
    ) -> None:
        provider.answers["/token"] = [(503, "down"), refused("slow_down"), (200, TOKENS)]
        terminal = Terminal()

        on(address, terminal)
        assert terminal.waits == [5, 10, 15]

    @pytest.mark.parametrize("error", ["expired_token", "authorization_pending"])
    def test_nobody_comes(self, address: str, provider: ScriptedProvider, error: str) -> None:
        provider.answers["/token"] = [refused(error)]
        terminal = Terminal()

        with pytest.raises(Unauthenticated, match="within 30 seconds"):
            on(address, terminal)
        assert sum(terminal.waits) <= 30

    def test_other_errors_are_told(self, address: str, provider: ScriptedProvider) -> None:
        provider.answers["/token"] = [refused("unauthorized_client")]

        with pytest.raises(Unauthenticated, match="unauthorized_client"):
            on(address, Terminal())

    @pytest.mark.parametrize("name", ["device_code", "user_code", "verification_uri", "expires_in"])
    def test_answer_that_lacks_something(
        self, address: str, provider: ScriptedProvider, name: str
    ) -> None:
        begun = {key: value for key, value in BEGUN.items() if key != name}
        provider.answers["/device"] = [(200, begun)]

        with pytest.raises(Unavailable, match=name):
            on(address, Terminal())

    @pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
    def test_address_that_others_could_read_is_not_shown(
        self, address: str, provider: ScriptedProvider, name: str
    ) -> None:
        provider.answers["/device"] = [(200, {**BEGUN, name: "http://login.example.com/device"})]
        terminal = Terminal()

        with pytest.raises(StudbookError, match="not https"):
            on(address, terminal)
        assert terminal.shown == []

    def test_codes_do_not_drive_the_terminal(
        self, address: str, provider: ScriptedProvider
    ) -> None:
        provider.answers["/device"] = [(200, {**BEGUN, "user_code": "\x1b[2JABC"})]
        terminal = Terminal()

        on(address, terminal)
        assert "\x1b" not in terminal.shown[0]

    def test_provider_without_device_grant(self, address: str, provider: ScriptedProvider) -> None:
        del provider.document["device_authorization_endpoint"]

        with pytest.raises(FailedPrecondition, match="has no device login") as caught:
            on(address, Terminal())
        assert "--token-stdin" in caught.value.next_step

    def test_command(
        self,
        address: str,
        provider: ScriptedProvider,
        issuer: ServedIssuer,
        identity: Identity,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        identity.providers[0].issuer = issuer.url
        token = login.as_demo_person(address, "ada").access_token
        identity.providers[0].issuer = provider.issuer
        provider.answers["/device"] = [(200, {**BEGUN, "interval": 0})]
        provider.answers["/token"] = [(200, {"access_token": token})]
        monkeypatch.setenv("STUDBOOK_ADDRESS", address)

        assert run(["login", "--device"]) == 0
        said = capsys.readouterr().err
        assert "WDJB-MJHT" in said
        assert "as Ada (user:dev:ada)" in said
