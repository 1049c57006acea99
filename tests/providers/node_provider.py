"""oidc-provider, https://github.com/panva/node-oidc-provider: certified, in JavaScript."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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
    WEB_LOGOUT,
    WEB_SECRET,
    WEB_SIGNED_OUT,
    Abilities,
    ProcessProvider,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

PACKAGE = "oidc-provider@9"
CACHE = Path(__file__).resolve().parents[2] / "build" / "oidc-provider"
SERVER = Path(__file__).with_name("oidc_provider.mjs")
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


NODE, NPM = shutil.which("node"), shutil.which("npm")


def installed() -> Path:
    """The folder it is installed in; the first test process that needs it installs it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    library = CACHE / "node_modules" / "oidc-provider"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (library / "package.json").exists():
            quiet = [
                "--no-save",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
            ]
            assert NPM is not None
            done = subprocess.run(
                [NPM, "install", "--prefix", str(CACHE), *quiet, PACKAGE],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.fail(f"npm cannot install {PACKAGE}:\n{done.stderr}")
    return library


class NodeProvider(ProcessProvider):
    """Tells of groups as Keycloak does of roles: nested, and of ada's as text, not as a list."""

    name = "oidc-provider"
    first_field = "input[name=login]"
    abilities = Abilities(
        key_for_services=True,
        device_grant=True,
        keeps_former_key=True,
        revocation=True,
        backchannel_logout=True,
    )

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.issuer = f"http://127.0.0.1:{port}"
        told = {
            "library": str(installed()),
            "port": port,
            "audience": AUDIENCE,
            "accounts": {
                "ada": {"name": "Ada", "realm_access": {"roles": "data-science"}},
                "grace": {"name": "Grace", "realm_access": {"roles": ["data-science", "x"]}},
            },
            "clients": [
                {
                    "client_id": CLI,
                    "application_type": "native",
                    "token_endpoint_auth_method": "none",
                    "redirect_uris": ["http://127.0.0.1/callback"],
                    "grant_types": ["authorization_code", "refresh_token", DEVICE_GRANT],
                },
                {
                    "client_id": WEB,
                    "client_secret": WEB_SECRET,
                    "redirect_uris": [WEB_CALLBACK],
                    "post_logout_redirect_uris": [WEB_SIGNED_OUT],
                    "backchannel_logout_uri": WEB_LOGOUT,
                    "backchannel_logout_session_required": True,
                    "grant_types": ["authorization_code", "refresh_token"],
                },
                {
                    "client_id": SERVICE,
                    "client_secret": SERVICE_SECRET,
                    "redirect_uris": [],
                    "response_types": [],
                    "grant_types": ["client_credentials"],
                },
                {
                    "client_id": SIGNING,
                    "token_endpoint_auth_method": "private_key_jwt",
                    "jwks": {"keys": [SIGNING_KEY.as_dict(private=False)]},
                    "redirect_uris": [],
                    "response_types": [],
                    "grant_types": ["client_credentials"],
                },
            ],
        }
        self._web_secret = folder / "oidc-provider-web-secret"
        self._web_secret.write_text(WEB_SECRET)
        super().__init__([str(NODE), str(SERVER), json.dumps(told)], folder / "oidc-provider.log")

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "kind": "people",
            "url": self.issuer,
            "audience": AUDIENCE,
            "token_types": ["at+jwt"],
            "groups_claim": "realm_access/roles",
            # It grants offline_access, hence refresh tokens, with consent only.
            "login": {
                "client_id": CLI,
                "scope": "openid profile offline_access",
                "prompt": "consent",
            },
            "web": {
                "client_id": WEB,
                "client_secret_file": str(self._web_secret),
                "scope": "openid profile offline_access",
                "prompt": "consent",
            },
            "service_accounts": [{"client_id": SERVICE}, {"client_id": SIGNING}],
        }

    def log_in(self, page: Page, person: str) -> None:
        page.fill(self.first_field, person)
        page.fill("input[name=password]", "any")
        page.click("button[type=submit]")
        page.click("button:has-text('Continue')")

    def confirm_device(self, page: Page, person: str) -> None:
        page.click("button[type=submit]")
        self.log_in(page, person)

    def confirm_logout(self, page: Page) -> None:
        page.click("button[value=yes]")

    def confirm_web_logout(self, page: Page) -> None:
        page.click("button[value=yes]")

    def rotate_key(self) -> None:
        self.send(signal.SIGHUP)
