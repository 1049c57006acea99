"""Reading the issuer's configuration."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gateway.dev_issuer.config import ConfigError, DevIssuerConfig
from gateway.dev_issuer.password_hash import hash_secret, verify_secret
from gateway.dev_issuer.signing_key import SigningKey
from gateway.dev_issuer.token_store import TokenStore
from tests.unit.conftest import write_issuer_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = write_issuer_config(folder, 7421)
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = DevIssuerConfig.read(write_issuer_config(tmp_path, 7421))

    assert config.signing_key == tmp_path / "people.pem"
    assert config.state_file == tmp_path / "logins.sqlite"
    assert config.ci is not None
    assert config.ci.signing_key == tmp_path / "ci.pem"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:7421/people",
        "http://0.0.0.0:7421/people",
        "http://192.168.1.4:7421/people",
        "http://login.example.com/people",
        "http://127.0.0.1:7421/people/",
        "http://127.0.0.1:7421/people?x=1",
        "http://localhost.example.com:7421",
    ],
)
def test_issuer_must_be_on_loopback(tmp_path: Path, url: str) -> None:
    path = changed(tmp_path, lambda document: document.update(issuer=url))

    with pytest.raises(ConfigError, match=r"issuer: .*loopback"):
        DevIssuerConfig.read(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.pop("audience"), "audience"),
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["people"].append(d["people"][0]), "people"),
        (lambda d: d["people"][0].update(auto_login=False), "ada"),
        (lambda d: d["people"][0].update(password_hash="hunter2"), "password_hash"),
        (lambda d: d["clients"][0].update(secret_hash=hash_secret("x")), "studbook-cli"),
        (lambda d: d["ci"].update(issuer="http://127.0.0.1:1/ci"), "ci.issuer"),
        (lambda d: d["ci"]["repositories"][0].pop("repository_id"), "repository_id"),
    ],
)
def test_faults_are_named_without_secrets(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        DevIssuerConfig.read(changed(tmp_path, change))

    assert "hunter2" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        DevIssuerConfig.read(tmp_path / "absent.yaml")


def test_unusable_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("not a key")

    with pytest.raises(ConfigError, match=r"key\.pem"):
        SigningKey.read(path)


def test_hash_is_salted_and_checks() -> None:
    first, second = hash_secret("secret"), hash_secret("secret")

    assert first != second
    assert verify_secret("secret", first)
    assert not verify_secret("Secret", first)


class TestTokenStore:
    def test_survives_a_restart_in_a_private_file(self, tmp_path: Path) -> None:
        path = tmp_path / "logins.sqlite"
        TokenStore(path, 3600).add("secret", "family", "cli", "ada", "openid")

        token = TokenStore(path, 3600).find("secret")

        assert token is not None
        assert token.sub == "ada"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"secret" not in path.read_bytes()

    def test_expired_tokens_are_not_found(self, tmp_path: Path) -> None:
        store = TokenStore(tmp_path / "logins.sqlite", 0)
        store.add("secret", "family", "cli", "ada", "openid")

        assert store.find("secret") is None
