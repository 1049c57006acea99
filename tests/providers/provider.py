"""What the tests need of an OIDC provider, whichever it is."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from joserfc.jwk import ECKey

from tests.free_ports import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from playwright.sync_api import Page

AUDIENCE = "https://studbook.example"
CLI, WEB = "studbook-cli", "studbook-web"
WEB_SECRET = "secret-of-the-pages"
# One service account proves itself by a secret, the other by a private key.
SERVICE, SERVICE_SECRET, SIGNING = "serving", "secret-of-the-serving-account", "signing"
SIGNING_KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
START_S = 120

# Where the pages are, which providers are told before these are served.
WEB_ORIGIN = f"http://127.0.0.1:{free_port()}"
WEB_CALLBACK, WEB_SIGNED_OUT = f"{WEB_ORIGIN}/callback", f"{WEB_ORIGIN}/signed-out"
WEB_LOGOUT = f"{WEB_ORIGIN}/backchannel-logout"


@dataclass(frozen=True)
class Abilities:
    """What a provider offers. Each has to be said: nothing is skipped because it was forgotten.

    A test of something that a provider lacks holds the command line to saying so.
    """

    device_grant: bool
    # Service accounts may prove themselves by a private key.
    key_for_services: bool
    # A withdrawn key stays published for the tokens that it signed.
    keeps_former_key: bool
    # Takes tokens back from clients without a secret.
    revocation: bool
    # Tells clients of logins that end.
    backchannel_logout: bool


class Provider(ABC):
    """A running provider.

    Everywhere: the public client `studbook-cli`, the service accounts `serving` and `signing`, and
    two people in the group `data-science`, of which the provider tells in its own way.
    """

    name: str
    abilities: Abilities
    issuer: str
    # A field of the first page that asks who somebody is.
    first_field: str

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Its entry under `issuers` in access.yaml."""

    @abstractmethod
    def log_in(self, page: Page, person: str) -> None:
        """Go through the provider's pages as somebody would, from the first to the last."""

    @abstractmethod
    def confirm_device(self, page: Page, person: str) -> None:
        """The same, from the page that the device grant names."""

    @abstractmethod
    def confirm_logout(self, page: Page) -> None:
        """Go through the pages that end the session in the browser."""

    @abstractmethod
    def confirm_web_logout(self, page: Page) -> None:
        """The same, of a client whose ID token says whose session it is; as far as it asks."""

    @abstractmethod
    def rotate_key(self) -> None:
        """Sign with a new key from now on."""

    @abstractmethod
    def wait_until_ready(self) -> None:
        """Wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it."""

    def describe(self) -> dict[str, Any]:
        """Its discovery document."""
        return dict(_get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"))

    def key_ids(self) -> set[str]:
        """The keys that it publishes now."""
        return {key["kid"] for key in _get(self.describe()["jwks_uri"])["keys"]}


class ProcessProvider(Provider):
    """A provider that is a process of its own, and makes a new key on SIGHUP."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out)

    def send(self, signal: int) -> None:
        self._process.send_signal(signal)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.describe()
            except httpx.HTTPError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        with self._process:
            self._process.kill()


def _get(url: str) -> Any:
    answer = httpx.get(url, timeout=10, trust_env=False)
    answer.raise_for_status()
    return answer.json()
