"""Settings are checked at the start, all at once, and unsafe ones refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.settings import GatewaySettings
from service_chassis.service_settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "STUDBOOK_GATEWAY_"
DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "gateway-settings.md"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., GatewaySettings]:
    """Read settings from an environment that is good except for the changes."""
    for name in ("access.yaml", "key.pem", "tls.pem"):
        (tmp_path / name).write_text("x")

    def with_changes(**changes: str) -> GatewaySettings:
        good = {"access_file": "access.yaml", "assertion_private_key": "key.pem"}
        for name, value in (good | changes).items():
            monkeypatch.setenv(PREFIX + name.upper(), value)
        return read_settings(GatewaySettings)

    monkeypatch.chdir(tmp_path)
    return with_changes


def test_defaults(read: Callable[..., GatewaySettings]) -> None:
    settings = read()
    assert settings.listen == "127.0.0.1:7420"
    assert (settings.tracking_address, settings.registry_address) == (
        "127.0.0.1:7422",
        "127.0.0.1:7423",
    )
    assert settings.message_bytes == 4 * 1024 * 1024
    assert not settings.reflection
    assert settings.dev_issuer is None
    assert settings.server_certificate() is None


def test_everything_wrong_is_said_at_once(read: Callable[..., GatewaySettings]) -> None:
    with pytest.raises(SystemExit) as refused:
        read(
            access_file="",
            assertion_private_key="nowhere.pem",
            listen="0.0.0.0:7420",
            tracking_address="tracking",
            message_bytes="7",
        )
    message = str(refused.value)
    for said in (
        "ACCESS_FILE is not set: The access rules",
        "ASSERTION_PRIVATE_KEY: Path does not point to a file",
        'TRACKING_ADDRESS: "tracking" must end with a port',
        "MESSAGE_BYTES: Input should be greater",
        "ALLOW_PLAINTEXT: 0.0.0.0:7420 can be reached from other machines",
    ):
        assert PREFIX + said in message


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "gateway.example:1", "10.0.0.1:1"])
def test_other_machines_are_served_with_tls_only(
    read: Callable[..., GatewaySettings], listen: str
) -> None:
    with pytest.raises(SystemExit, match="everybody on the way can read tokens"):
        read(listen=listen)
    assert read(listen=listen, allow_plaintext="true").listen == listen


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:0"])
def test_loopback_needs_no_tls(read: Callable[..., GatewaySettings], listen: str) -> None:
    assert read(listen=listen).listen == listen


def test_tls_needs_both_files(read: Callable[..., GatewaySettings]) -> None:
    with pytest.raises(SystemExit, match="tls_private_key must be set too"):
        read(tls_certificate="tls.pem")
    settings = read(listen="0.0.0.0:1", tls_private_key="key.pem")
    assert settings.tls_certificate is not None


def test_tls_key_alone(read: Callable[..., GatewaySettings]) -> None:
    with pytest.raises(SystemExit, match="tls_certificate must be set too"):
        read(tls_private_key="key.pem")
