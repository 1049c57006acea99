"""The embedded development issuer, which has to pass for one of the others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import uvicorn
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.dev_issuer.app import create_app
from gateway.dev_issuer.config import DevIssuerConfig
from gateway.dev_issuer.password_hash import hash_secret
from tests.free_ports import free_ports
from tests.providers.provider import (
    AUDIENCE,
    CLI,
    SERVICE,
    SERVICE_SECRET,
    SIGNING,
    SIGNING_KEY,
    START_S,
    WEB,
    WEB_CALLBACK,
    WEB_SIGNED_OUT,
    Abilities,
    Provider,
)

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from playwright.sync_api import Page

PASSWORD = "hunter of snarks"


class _Server(uvicorn.Server):
    def __init__(self, config: DevIssuerConfig) -> None:
        _, port = config.issuer.removesuffix("/people").rsplit(":", 1)
        super().__init__(
            uvicorn.Config(create_app(config), port=int(port), log_level="critical", lifespan="off")
        )
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


class Development(Provider):
    """Served by a thread. Its one key can only be exchanged by starting it anew."""

    name = "development"
    first_field = "input[name=sub]"
    abilities = Abilities(
        key_for_services=True,
        device_grant=True,
        keeps_former_key=False,
        revocation=True,
        backchannel_logout=False,
    )

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.issuer = f"http://127.0.0.1:{port}/people"
        self._key = folder / "people.pem"
        self._file = folder / "dev-issuer.yaml"
        self._file.write_text(yaml.safe_dump(self._document()))
        self._start()

    def _document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "audience": AUDIENCE,
            "signing_key": self._key.name,
            "state_file": "logins.sqlite",
            "people": [
                {
                    "sub": name,
                    "name": name.title(),
                    "groups": ["data-science"],
                    "password_hash": hash_secret(PASSWORD),
                }
                for name in ("ada", "grace")
            ],
            "clients": [
                {"client_id": CLI, "redirect_uris": ["http://127.0.0.1/callback"]},
                {
                    "client_id": WEB,
                    "redirect_uris": [WEB_CALLBACK],
                    "post_logout_redirect_uris": [WEB_SIGNED_OUT],
                },
                {"client_id": SERVICE, "secret_hash": hash_secret(SERVICE_SECRET)},
                {
                    "client_id": SIGNING,
                    "public_keys": {"keys": [SIGNING_KEY.as_dict(private=False)]},
                },
            ],
        }

    def _start(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._server = _Server(DevIssuerConfig.read(self._file))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "kind": "people",
            "url": self.issuer,
            "audience": AUDIENCE,
            "token_types": ["at+jwt"],
            "login": {"client_id": CLI},
            "web": {"client_id": WEB},
            "service_accounts": [{"client_id": SERVICE}, {"client_id": SIGNING}],
        }

    def log_in(self, page: Page, person: str) -> None:
        page.fill(self.first_field, person)
        page.fill("input[name=password]", PASSWORD)
        page.click("button:has-text('Log in')")

    def confirm_device(self, page: Page, person: str) -> None:
        self.log_in(page, person)

    def confirm_logout(self, page: Page) -> None:
        page.wait_for_selector("text=Logged out")

    def confirm_web_logout(self, page: Page) -> None:
        del page

    def rotate_key(self) -> None:
        self.stop()
        self._start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        assert self._server.is_up.wait(START_S)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(START_S)
