"""TLS of gRPC connections: certificates that are replaced on disk while everything goes on.

gRPC itself sees to the rest: TLS 1.2 at least, and HTTP/2 by ALPN or no connection at all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from prometheus_client import Gauge

from service_chassis.followed_files import FollowedFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DAY_S = 86_400
_DAYS_LEFT = Gauge(
    "studbook_certificate_days_left",
    "Days until the first certificate of the chain in use expires.",
    ["certificate"],
)


@dataclass(frozen=True)
class CertificatePair:
    """A certificate chain and its private key.

    Attributes:
        certificate: PEM file, the own certificate first.
        private_key: PEM file.
    """

    certificate: Path
    private_key: Path

    def read(self, name: str) -> tuple[bytes, bytes]:
        """Private key and chain (PEM), once they are known to be good for something.

        Args:
            name: Under which name the days to expiry are shown.

        Raises:
            OSError: A file cannot be read.
            ValueError: It does not hold what it should, the two do not belong together, or the
                certificate has expired.
        """
        chain, key = self.certificate.read_bytes(), self.private_key.read_bytes()
        certificate = x509.load_pem_x509_certificates(chain)[0]
        try:
            public = load_pem_private_key(key, None).public_key()
        except TypeError:
            message = f"{self.private_key} is encrypted; give a key without a password"
            raise ValueError(message) from None
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if public.public_bytes(*form) != certificate.public_key().public_bytes(*form):
            message = f"{self.private_key} is not the key of {self.certificate}"
            raise ValueError(message)
        expires = certificate.not_valid_after_utc
        if expires.timestamp() <= time.time():
            message = f"{self.certificate} expired on {expires:%Y-%m-%d %H:%M} UTC"
            raise ValueError(message)
        expires_s = expires.timestamp()
        _DAYS_LEFT.labels(name).set_function(lambda: (expires_s - time.time()) / _DAY_S)
        return key, chain


def read_authorities(path: Path) -> bytes:
    """Certificates (PEM) of those who may sign the other side's.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    pem = path.read_bytes()
    x509.load_pem_x509_certificates(pem)
    return pem


class ServerCertificate:
    """The certificate of a listening port.

    Args:
        pair: Its files.
        client_ca: Certificates of those who sign clients' certificates (PEM file); with it, only
            clients with such a certificate get a connection.

    Raises:
        SystemExit: The files cannot be used.
    """

    def __init__(self, pair: CertificatePair, client_ca: Path | None = None) -> None:
        self._pair = pair
        self._client_ca = client_ca
        self._given: grpc.ServerCertificateConfiguration | None = None
        self._configuration: grpc.ServerCertificateConfiguration
        paths = [pair.certificate, pair.private_key, *([client_ca] if client_ca else [])]
        self.files = FollowedFiles("tls_certificate", paths, self._use)

    def _use(self) -> None:
        authorities = read_authorities(self._client_ca) if self._client_ca else None
        pair = self._pair.read("tls_certificate")
        self._configuration = grpc.ssl_server_certificate_configuration([pair], authorities)

    def _when_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What gRPC asks for before every handshake; None: go on with what you have."""
        if self._configuration is self._given:
            return None
        self._given = self._configuration
        return self._given

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        self._given = self._configuration
        # Its published type leaves out that nothing may be new.
        when_changed: Any = self._when_changed
        return grpc.dynamic_ssl_server_credentials(
            self._given,
            when_changed,
            require_client_authentication=self._client_ca is not None,
        )


class ClientCertificate:
    """With what other components are called: whose certificates are believed, and the own one.

    Args:
        ca: Certificates of those who sign the certificates of the components (PEM file).
        pair: The own certificate, shown to components that ask for one.

    Raises:
        SystemExit: The files cannot be used.
    """

    credentials: grpc.ChannelCredentials

    def __init__(self, ca: Path, pair: CertificatePair | None = None) -> None:
        self._ca = ca
        self._pair = pair
        self._told: list[Callable[[], None]] = []
        paths = [ca, *([pair.certificate, pair.private_key] if pair else [])]
        self.files = FollowedFiles("services_ca", paths, self._use)

    def _use(self) -> None:
        own = self._pair.read("services_certificate") if self._pair else (None, None)
        self.credentials = grpc.ssl_channel_credentials(read_authorities(self._ca), *own)
        for tell in self._told:
            tell()

    def when_renewed(self, tell: Callable[[], None]) -> None:
        """Have it told when there are other credentials."""
        self._told.append(tell)
