"""Browsers made by hand in front of the running pages, and what these write down of them."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from cryptography.fernet import Fernet

from tests.patience import wait_until
from tests.plain_browser import SESSION, PlainBrowser

if TYPE_CHECKING:
    from local_stack.stack import LocalStack


class Visitor(PlainBrowser):
    """A browser that knows the way to the provider and back."""

    def begin(self, path: str = "/login/dev") -> str:
        """Begin a login; the provider's address to which the pages send the browser."""
        answer = self.get(path)
        assert answer.status_code == 303
        return answer.headers["location"]

    @staticmethod
    def answer_of_provider(url: str, person: str = "ada") -> str:
        """Log in at the provider; the path to which it sends the browser back."""
        answer = httpx.get(f"{url}&prompt=none&login_hint={person}", trust_env=False, timeout=20)
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"

    def sign_in(self, person: str = "ada") -> httpx.Response:
        """Sign in from beginning to end."""
        answer = self.get(self.answer_of_provider(self.begin(), person))
        assert answer.status_code == 303, answer.text
        return answer

    @property
    def who(self) -> str:
        """Who is signed in; empty when nobody is."""
        page = self.get("/account")
        return page.text.partition("<code>")[2].partition("</code>")[0]

    def refused_form(self, path: str, fields: dict[str, str], **headers: str) -> int:
        """Send a form that must change nothing; the status."""
        status = self.form(path, fields, **headers).status_code
        assert self.who == "user:dev:ada"
        return status


class Target:
    """The running pages.

    Args:
        stack: What they are part of.
    """

    def __init__(self, stack: LocalStack) -> None:
        self.origin = stack.addresses.web
        self.issuer = stack.addresses.people_issuer
        self.host = urlsplit(self.origin).netloc
        self.key = Fernet((stack.folder.keys / "web").read_text().strip())
        self.cookies_of_ada: dict[str, str] = {}
        self._log = stack.folder.logs / "studbook.log"

    def visitor(self) -> Visitor:
        """A browser without cookies."""
        return Visitor(self.origin)

    def sealed(self, purpose: str, at_s: int, **content: str) -> str:
        """What only somebody with the key could seal."""
        text = json.dumps({"for": purpose, **content}).encode()
        return self.key.encrypt_at_time(text, at_s).decode()

    def log(self) -> str:
        """Everything that was logged."""
        return self._log.read_text()

    def recorded(self, number: int = 1, **said: Any) -> dict[str, Any]:
        """The last line in the log that says this, once there are as many of them.

        A request's line is written after its answer.
        """

        def lines() -> list[dict[str, Any]]:
            found = [json.loads(line) for line in self.log().splitlines() if line.endswith("}")]
            return [one for one in found if said.items() <= one.items()]

        wait_until(lambda: len(lines()) >= number)
        return lines()[-1]

    def raw(self, request: bytes) -> bytes:
        """What bytes are answered with, until the connection ends or something came."""
        host, _, port = self.host.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(request)
            return connection.recv(65_536)


def status_of(answer: bytes) -> int:
    """The status in the first line of an answer."""
    return int(answer.split(b" ", 2)[1])


def has_session(browser: Visitor) -> bool:
    """Whether a browser was given a session."""
    return SESSION in browser.cookies
