"""Canaille, https://canaille.readthedocs.io: a provider in Python."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from tests.free_ports import free_ports
from tests.providers.provider import (
    AUDIENCE,
    CLI,
    SERVICE,
    SERVICE_SECRET,
    SIGNING,
    SIGNING_KEY,
    WEB,
    WEB_CALLBACK,
    WEB_SECRET,
    WEB_SIGNED_OUT,
    Abilities,
    ProcessProvider,
)

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

PASSWORD = "correct horse battery staple"


class Canaille(ProcessProvider):
    """It compares whole redirect addresses, so logins end at a port that is registered."""

    name = "canaille"
    first_field = "input[name=login]"
    abilities = Abilities(
        key_for_services=False,
        device_grant=False,
        keeps_former_key=True,
        revocation=False,
        backchannel_logout=False,
    )

    def __init__(self, folder: Path) -> None:
        port, callback_port = free_ports(2)
        self.issuer = f"http://127.0.0.1:{port}"
        self._callback = f"http://127.0.0.1:{callback_port}/callback"
        told = {
            "port": port,
            "callback": self._callback,
            "audience": AUDIENCE,
            "cli": CLI,
            "web": {
                "client_id": WEB,
                "client_secret": WEB_SECRET,
                "redirect_uris": [WEB_CALLBACK],
                "post_logout_redirect_uris": [WEB_SIGNED_OUT],
            },
            "service": SERVICE,
            "secret": SERVICE_SECRET,
            "signing": SIGNING,
            "key": SIGNING_KEY.as_dict(private=False),
            "password": PASSWORD,
            "people": ["ada", "grace"],
        }
        command = [sys.executable, "-m", "tests.providers.canaille_server", json.dumps(told)]
        super().__init__(command, folder / "canaille.log")
        # The gateway asks about opaque tokens as the client that they are made out to.
        self._secret = folder / "canaille-secret"
        self._secret.write_text(SERVICE_SECRET)
        self._web_secret = folder / "canaille-web-secret"
        self._web_secret.write_text(WEB_SECRET)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "kind": "people",
            "url": self.issuer,
            "audience": AUDIENCE,
            "other_audiences": [CLI, WEB],
            # The strongest that its RSA keys are good for, unless the client is told otherwise.
            "algorithms": ["RS512"],
            "login": {
                "client_id": CLI,
                "scope": "openid profile groups",
                "redirect_uri": self._callback,
            },
            "web": {
                "client_id": WEB,
                "client_secret_file": str(self._web_secret),
                "scope": "openid profile groups",
            },
            "introspection": {"client_id": AUDIENCE, "client_secret_file": str(self._secret)},
            "service_accounts": [{"client_id": SERVICE}],
        }

    def log_in(self, page: Page, person: str) -> None:
        page.fill(self.first_field, person)
        page.click("button[type=submit]")
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")

    def confirm_device(self, page: Page, person: str) -> None:
        raise NotImplementedError

    def confirm_logout(self, page: Page) -> None:
        page.click("button[value=logout]")
        page.wait_for_selector("text=You have been disconnected")

    def confirm_web_logout(self, page: Page) -> None:
        del page

    def rotate_key(self) -> None:
        self.send(signal.SIGHUP)
