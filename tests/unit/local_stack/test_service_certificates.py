"""Certificates of the processes: made when missing, renewed in time, and their authority replaced.

That gRPC takes them is tested with real processes.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from local_stack import service_certificates
from local_stack.keys import ensure_token_key
from local_stack.service_certificates import ensure_service_certificates

if TYPE_CHECKING:
    from pathlib import Path

ALL = ["gateway", "tracking", "registry"]


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return tmp_path / "authority"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def is_trusted(folder: Path, name: str, host: str) -> bool:
    """Whether `services-ca.crt` vouches for a certificate, as a service and as a client."""
    authorities = (folder / "services-ca.crt").read_bytes()
    store = Store(x509.load_pem_x509_certificates(authorities))
    policy = PolicyBuilder().store(store)
    try:
        policy.build_server_verifier(x509.DNSName(host)).verify(certificate(folder, name), [])
        policy.build_client_verifier().verify(certificate(folder, name), [])
    except x509.verification.VerificationError:
        return False
    return True


def test_command_makes_certificates_that_are_good(
    authority: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(authority), str(folder), "--host", "tracking=tracking.internal"]
    assert service_certificates.main(arguments) == 0
    assert "gateway, tracking, registry" in capsys.readouterr().out
    assert is_trusted(folder, "registry", "registry")
    assert is_trusted(folder, "tracking", "tracking.internal")
    assert not is_trusted(folder, "tracking", "tracking")
    assert {path.name for path in authority.iterdir()} == {"ca.crt", "ca.key"}
    assert "ca.key" not in contents(folder)
    modes = {
        stat.S_IMODE(path.stat().st_mode) for path in (*folder.iterdir(), *authority.iterdir())
    }
    assert modes == {0o600}


@pytest.mark.parametrize("host", ["tracking", "tracking=", "cache=host"])
def test_host_of_no_component_is_refused(
    authority: Path, folder: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        service_certificates.main([str(authority), str(folder), "--host", host])
    assert "is not COMPONENT=HOST" in capsys.readouterr().err


def test_only_what_is_due_is_renewed(authority: Path, folder: Path) -> None:
    assert ensure_service_certificates(authority, folder, {}, days=90) == ALL
    before = contents(folder)
    assert ensure_service_certificates(authority, folder, {}, days=90) == []
    assert contents(folder) == before
    moved = {"registry": "10.1.2.3"}
    assert ensure_service_certificates(authority, folder, moved, days=90) == ["registry"]
    (folder / "gateway.crt").unlink()
    assert ensure_service_certificates(authority, folder, moved, days=90) == ["gateway"]


def test_certificate_with_little_time_left_is_renewed(authority: Path, folder: Path) -> None:
    # They begin an hour ago: with 40 minutes to go, 33 are a third of their time; with 20, 27.
    ensure_service_certificates(authority, folder, {}, days=40 / 1440)
    assert ensure_service_certificates(authority, folder, {}, days=20 / 1440) == []
    for path in folder.glob("*.crt"):
        if path.name != "services-ca.crt":
            path.unlink()
    assert ensure_service_certificates(authority, folder, {}, days=20 / 1440) == ALL
    assert ensure_service_certificates(authority, folder, {}, days=90) == ALL


def test_authority_is_believed_before_it_signs(
    authority: Path, folder: Path, tmp_path: Path
) -> None:
    ensure_service_certificates(authority, folder, {}, days=90)
    successor = tmp_path / "successor"
    before = contents(folder)
    assert ensure_service_certificates(successor, folder, {}, days=90) == []
    changed = {name for name, content in contents(folder).items() if content != before[name]}
    assert changed == {"services-ca.crt"}
    assert is_trusted(folder, "tracking", "tracking")
    assert ensure_service_certificates(successor, folder, {}, days=90) == ALL
    assert is_trusted(folder, "tracking", "tracking")
    (folder / "services-ca.crt").write_bytes((successor / "ca.crt").read_bytes())
    assert is_trusted(folder, "tracking", "tracking")
    (folder / "services-ca.crt").write_bytes((authority / "ca.crt").read_bytes())
    assert not is_trusted(folder, "tracking", "tracking")


def test_key_of_another_kind_is_refused(authority: Path, folder: Path, tmp_path: Path) -> None:
    ensure_service_certificates(authority, tmp_path / "other", {}, days=90)
    (authority / "ca.key").unlink()
    ensure_token_key(authority / "ca.key")
    with pytest.raises(SystemExit, match="is no EC key"):
        ensure_service_certificates(authority, folder, {}, days=90)
