"""The gateway as a process: what it says when it cannot start, and how it stops."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from joserfc.jwk import OKPKey

from studbook.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from tests.free_ports import free_port
from tests.unit.conftest import write_issuer_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings that the gateway starts with."""
    issuer_port = free_port()
    write_issuer_config(tmp_path, issuer_port)
    (tmp_path / "key.pem").write_bytes(OKPKey.generate_key("Ed25519").as_pem(private=True))
    (tmp_path / "access.yaml").write_text(
        f"""
version: 1
issuers:
  dev:
    url: http://127.0.0.1:{issuer_port}/people
    kind: people
    audience: studbook
    login: {{client_id: studbook-cli}}
"""
    )
    prefix = "STUDBOOK_GATEWAY_"
    return {
        f"{prefix}LISTEN": f"127.0.0.1:{free_port()}",
        f"{prefix}ACCESS_FILE": str(tmp_path / "access.yaml"),
        f"{prefix}ASSERTION_PRIVATE_KEY": str(tmp_path / "key.pem"),
        f"{prefix}DEV_ISSUER": str(tmp_path / "dev-issuer.yaml"),
    }


@contextlib.contextmanager
def started(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def complaint(environment: dict[str, str]) -> str:
    """What a gateway that refuses to start says."""
    with started(environment) as process:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        return said


def test_it_serves_until_it_is_told_to_stop(environment: dict[str, str]) -> None:
    address = environment["STUDBOOK_GATEWAY_LISTEN"]
    with started(environment) as process, grpc.insecure_channel(address) as channel:
        identity = identity_service_pb2_grpc.IdentityServiceStub(channel)
        info = identity.GetServerInfo(
            identity_service_pb2.GetServerInfoRequest(), wait_for_ready=True, timeout=60
        )
        assert info.login_providers[0].development
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        assert '"stopped"' in log


def write_certificate(folder: Path) -> None:
    """A certificate for localhost that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def test_it_serves_with_tls(environment: dict[str, str], tmp_path: Path) -> None:
    write_certificate(tmp_path)
    port = free_port()
    settings = environment | {
        "STUDBOOK_GATEWAY_LISTEN": f"0.0.0.0:{port}",
        "STUDBOOK_GATEWAY_TLS_CERTIFICATE": str(tmp_path / "tls.pem"),
        "STUDBOOK_GATEWAY_TLS_PRIVATE_KEY": str(tmp_path / "tls.key"),
    }
    credentials = grpc.ssl_channel_credentials((tmp_path / "tls.pem").read_bytes())
    with started(settings), grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        identity = identity_service_pb2_grpc.IdentityServiceStub(channel)
        assert identity.GetServerInfo(
            identity_service_pb2.GetServerInfoRequest(), wait_for_ready=True, timeout=60
        ).server_version


def test_real_issuer_beside_the_development_issuer(environment: dict[str, str]) -> None:
    with open(environment["STUDBOOK_GATEWAY_ACCESS_FILE"], "a") as file:  # noqa: PTH123 - append
        file.write("  corp: {url: 'https://login.example.com', kind: people, audience: studbook}\n")
    said = complaint(environment)
    assert "the development issuer is on, so https://login.example.com cannot be" in said
    assert "Traceback" not in said


def test_faulty_access_file(environment: dict[str, str]) -> None:
    with open(environment["STUDBOOK_GATEWAY_ACCESS_FILE"], "a") as file:  # noqa: PTH123 - append
        file.write("bindings: [{role: king, members: ['user:dev:a'], resources: ['**']}]\n")
    said = complaint(environment)
    assert "The access rules cannot be used" in said
    assert '"king" is not a role' in said
    assert "Traceback" not in said


def test_unusable_key(environment: dict[str, str]) -> None:
    key = environment["STUDBOOK_GATEWAY_ACCESS_FILE"]
    said = complaint(environment | {"STUDBOOK_GATEWAY_ASSERTION_PRIVATE_KEY": key})
    assert "is not a usable Ed25519 key" in said
    assert "Traceback" not in said


def test_taken_address(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = complaint(environment | {"STUDBOOK_GATEWAY_LISTEN": address})
    assert f"Cannot listen on {address}" in said
    assert "Traceback" not in said
