"""The development issuer, really serving, for its own tests and those of its clients."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import uvicorn
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, RSAKey

from gateway.dev_issuer.app import create_app
from gateway.dev_issuer.config import DevIssuerConfig
from gateway.dev_issuer.password_hash import hash_secret
from gateway.dev_issuer.signing_key import SigningKey
from studbook.identity.v1.identity_service_pb2 import LoginProvider
from studbook.job_variables import VARIABLE
from studbook.stored_logins import StoredLogins
from tests.patience import PATIENCE_S
from tests.unit.identity_server import Identity, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.applications import Starlette


@dataclass(frozen=True)
class ServedIssuer:
    """An issuer at its address, with the secrets of its people and clients."""

    config: DevIssuerConfig
    password: str = "hunter-of-snarks"
    service_secret: str = "serving-secret"
    ci_secret: str = "ci-secret"

    @property
    def url(self) -> str:
        return self.config.issuer

    def key_file(self, name: str) -> Path:
        """A private key of the service account `robot`, as PEM."""
        return self.config.signing_key.parent / {"ec-1": "robot.pem", "rsa-1": "ci.pem"}[name]

    @property
    def ci_url(self) -> str:
        assert self.config.ci is not None
        return self.config.ci.issuer


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


def public_keys(folder: Path) -> dict[str, list[object]]:
    """What the issuer knows of the keys of the service account `robot`."""
    keys: list[ECKey | RSAKey] = [
        ECKey.import_key((folder / "robot.pem").read_bytes(), {"kid": "ec-1"}),
        RSAKey.import_key((folder / "ci.pem").read_bytes(), {"kid": "rsa-1"}),
    ]
    return {"keys": [key.as_dict(private=False) for key in keys]}


def write_issuer_config(folder: Path, port: int) -> Path:
    """A configuration with fresh keys, as a file in the folder."""
    for name, key in (
        ("people", ec.generate_private_key(ec.SECP256R1())),
        ("robot", ec.generate_private_key(ec.SECP256R1())),
        ("ci", rsa.generate_private_key(65537, 2048)),
    ):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem)
    served = ServedIssuer
    document = {
        "issuer": f"http://127.0.0.1:{port}/people",
        "audience": "studbook",
        "signing_key": "people.pem",
        "state_file": "logins.sqlite",
        # Long, so that asking twice in a test is always too soon.
        "device_interval_s": 60,
        "people": [
            {
                "sub": "ada",
                "name": "Ada",
                "email": "ada@example.com",
                "groups": ["data-science"],
                "auto_login": True,
            },
            {"sub": "linus", "name": "Linus", "password_hash": hash_secret(served.password)},
        ],
        "clients": [
            {
                "client_id": "studbook-cli",
                "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback"],
                "post_logout_redirect_uris": ["https://studbook.example.com/bye"],
            },
            {
                "client_id": "serving",
                "name": "Serving",
                "secret_hash": hash_secret(served.service_secret),
            },
            # Its second key is the CI's, as making another takes a while.
            {"client_id": "robot", "public_keys": public_keys(folder)},
        ],
        "ci": {
            "issuer": f"http://127.0.0.1:{port}/ci",
            "signing_key": "ci.pem",
            "clients": [{"client_id": "ci", "secret_hash": hash_secret(served.ci_secret)}],
            "repositories": [
                {
                    "repository": "acme/wine-cultivar",
                    "repository_id": "730112",
                    "repository_owner_id": "4711",
                    "environments": ["production"],
                }
            ],
        },
    }
    path = folder / "dev-issuer.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedIssuer]:
    """One issuer for all tests of this process; every test makes logins of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    folder = tmp_path_factory.mktemp("issuer")
    config = DevIssuerConfig.read(write_issuer_config(folder, listener.getsockname()[1]))
    server = _Server(create_app(config))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    assert server.is_up.wait(PATIENCE_S)
    yield ServedIssuer(config)
    server.should_exit = True
    thread.join(PATIENCE_S)
    listener.close()


@pytest.fixture
def identity(issuer: ServedIssuer) -> Identity:
    """A server's identity service that names the development issuer."""
    provider = LoginProvider(
        name="dev",
        issuer=issuer.url,
        client_id="studbook-cli",
        scope="openid profile email groups offline_access",
        audience="studbook",
        development=True,
        audience_parameter="resource",
    )
    return Identity([provider], SigningKey.read(issuer.config.signing_key))


@pytest.fixture
def address(identity: Identity) -> Iterator[str]:
    with serving(identity) as at:
        yield at


# What tells that a process runs in a CI job; the tests themselves may.
CI_VARIABLES = (
    "GITHUB_ACTIONS", "GITHUB_SERVER_URL", "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITLAB_CI", "BUILDKITE", "CIRCLECI",
)  # fmt: skip


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredLogins:
    """A place of this test's own for logins, with nothing of the developer's in the way."""
    monkeypatch.setenv("STUDBOOK_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("STUDBOOK_KEYRING", "off")
    monkeypatch.delenv("STUDBOOK_PROFILE", raising=False)
    names = "TOKEN TOKEN_FILE CLIENT_ID CLIENT_SECRET CLIENT_SECRET_FILE CLIENT_KEY_FILE"
    for name in (*names.split(), "CLIENT_KEY_ID", "LOGIN_PROVIDER"):
        monkeypatch.delenv(f"STUDBOOK_{name}", raising=False)
    for name in (VARIABLE, *CI_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return StoredLogins()
