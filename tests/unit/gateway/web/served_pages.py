"""The pages, really serving, with a provider that says what a test wants."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx
from cryptography.fernet import Fernet

from gateway.authentication import Authenticator
from gateway.settings import GatewaySettings
from gateway.signing_keys import SigningKeys
from gateway.token_verifier import TokenVerifier
from gateway.turnstile import Turnstile
from gateway.web.application import Web
from tests.free_ports import free_port
from tests.patience import PATIENCE_S
from tests.plain_browser import PlainBrowser, query_of
from tests.unit.gateway.loopback_issuer import LoopbackIssuer, rules_for
from tests.unit.gateway.running_gateway import BINDINGS, IDENTITY_LIMITS, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEB = """\
    login: {client_id: studbook-cli}
    service_accounts: [client_id: serving]
    web: {client_id: studbook-web}"""
KEY = Fernet.generate_key().decode()
# Between one attempt and the next; what is waited for is the answer.
_PAUSE_S = 0.05


class LoginIssuer(LoopbackIssuer):
    """A provider whose tokens say what a test wants.

    Attributes:
        nonce: What the next ID token says of the request.
        access: How access tokens differ from good ones.
        identity: How ID tokens do.
        refresh: The refresh token that it gives; none when empty.
        refusal: The error that the token endpoint answers with, if any.
        forms: What it was asked for, in order, with the client's authentication.
    """

    def __init__(self) -> None:
        super().__init__()
        self.behave()

    def behave(self) -> None:
        """Do as one should, from now on."""
        self.nonce = ""
        self.access: dict[str, Any] = {}
        self.identity: dict[str, Any] = {}
        self.refresh = ""
        self.refusal = ""
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.discovery = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "revocation_endpoint": f"{self.url}/revoke",
            "end_session_endpoint": f"{self.url}/logout",
        }

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        if not path.endswith(("/token", "/revoke")):
            return super().answer(path)
        authorization, form = self.posts[-1]
        said = {**dict(parse_qsl(form)), "authorization": authorization}
        self.forms.append((path.rpartition("/")[2], said))
        if path.endswith("/revoke"):
            return 200, b"", {}
        if self.refusal:
            return 400, json.dumps({"error": self.refusal}).encode(), {}
        return 200, json.dumps(self._tokens()).encode(), {"Content-Type": "application/json"}

    def _tokens(self) -> dict[str, Any]:
        identity = {"aud": "studbook-web", "nonce": self.nonce, "client_id": None, **self.identity}
        answer = {
            "token_type": "Bearer",
            "access_token": self.token(**self.access),
            "id_token": self.token(header={"typ": "JWT"}, **identity),
        }
        return answer | ({"refresh_token": self.refresh} if self.refresh else {})

    def asked(self, grant_type: str) -> list[dict[str, str]]:
        """The forms for one kind of grant."""
        return [form for _, form in self.forms if form.get("grant_type") == grant_type]


@dataclass
class Clock:
    """The wall clock by which tokens are verified, which a test can set forward."""

    ahead_s: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Pages:
    """One replica of the pages."""

    origin: str
    address: str
    issuer: LoginIssuer
    rules: Rules
    folder: Path
    clock: Clock
    browsers: list[PlainBrowser] = field(default_factory=list)

    def begin_anew(self) -> None:
        """Forget all sessions, and what a test has changed."""
        self.issuer.behave()
        self.clock.ahead_s = 0
        self.rules.current = rules_for(self.issuer.url, more=WEB, rest=BINDINGS)
        with closing(sqlite3.connect(self.folder / "web.sqlite")) as database, database:
            database.execute("DELETE FROM web_sessions")

    def browser(self) -> PlainBrowser:
        """Somebody's browser, without cookies."""
        self.browsers.append(PlainBrowser(self.origin, self.address))
        return self.browsers[-1]

    def begin(self, browser: PlainBrowser, path: str = "/login/dev") -> dict[str, str]:
        """Begin a login; what the provider is asked, which its next tokens answer."""
        answer = self._answered(browser, path)
        assert answer.status_code == 303, answer.text
        asked = query_of(answer.headers["location"])
        self.issuer.nonce = asked["nonce"]
        return asked

    def finish(
        self, browser: PlainBrowser, asked: dict[str, str], more: str = ""
    ) -> httpx.Response:
        """Come back from the provider."""
        return self._answered(browser, f"/callback?code=c1&state={asked['state']}{more}")

    def _answered(self, browser: PlainBrowser, path: str) -> httpx.Response:
        """What the pages answer once their provider was in time.

        It has five seconds, which are gone when the machine stands still for as long.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = browser.get(path)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            assert time.monotonic() < deadline, answer.text
            time.sleep(_PAUSE_S)

    def signed_in(self) -> PlainBrowser:
        """A browser in which ada has signed in."""
        browser = self.browser()
        answer = self.finish(browser, self.begin(browser))
        assert answer.status_code == 303, answer.text
        return browser


@contextmanager
def serving_pages(
    issuer: LoginIssuer,
    folder: Path,
    *,
    origin: str = "",
    keys: str = KEY,
    provider: str = WEB,
    rest: str = BINDINGS,
) -> Iterator[Pages]:
    """Serve the pages from a thread.

    Args:
        issuer: Where people log in.
        folder: Holds the database; replicas share it.
        origin: The address that all replicas have in common; default: this one's own.
        keys: Content of the file of keys.
        provider: Lines of the issuer in the access rules.
        rest: Further lines of the access rules.
    """
    address = f"127.0.0.1:{free_port()}"
    key_file = folder / f"keys-{address.rpartition(':')[2]}"
    key_file.write_text(keys)
    settings = GatewaySettings.model_construct(
        web_listen=address,
        web_public_url=origin or f"http://{address}",
        web_key_file=key_file,
        web_database_url=f"sqlite:///{folder}/web.sqlite",
        web_session_hours=12.0,
    )
    clock = Clock()
    rules = Rules(rules_for(issuer.url, more=provider, rest=rest))
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        signing_keys = SigningKeys()
        signing_keys.follow(rules.current)
        authenticator = Authenticator(rules, TokenVerifier(signing_keys, clock.now), clock.now)
        turnstile = Turnstile(authenticator, IDENTITY_LIMITS)
        web = Web(settings, authenticator, signing_keys, rules, turnstile)
        await web.start()
        started.set()
        await stop.wait()
        await web.close()
        await signing_keys.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE_S)
    pages = Pages(settings.web_public_url, f"http://{address}", issuer, rules, folder, clock)
    try:
        yield pages
    finally:
        for browser in pages.browsers:
            browser.__exit__(None, None, None)
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        loop.close()


def basic(client: str, secret: str) -> str:
    """The header with which a client proves itself."""
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


def soon(seconds: int) -> int:
    """A time as tokens have it."""
    return int(time.time()) + seconds
