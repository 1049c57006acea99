"""A certificate authority of a test's own, and the files of those it signs for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from local_stack.service_certificates import SIGNS_CERTIFICATES
from service_chassis.certificates import CertificatePair

if TYPE_CHECKING:
    from pathlib import Path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _build(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=days))
    )


@dataclass
class Authority:
    """Signs certificates."""

    name: str = "studbook test authority"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def pem(self) -> bytes:
        """Its own certificate."""
        certificate = (
            _build(self.name, self.name, self.key, 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
            .add_extension(self._key_id, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

    @property
    def _key_id(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())

    def write(self, folder: Path) -> Path:
        """The file with its own certificate."""
        path = folder / "ca.crt"
        path.write_bytes(self.pem())
        return path

    def issue(
        self, folder: Path, name: str, *, days: float = 10, host: str = "localhost"
    ) -> CertificatePair:
        """Write `NAME.crt` and `NAME.key`, for a name and for a host, by default this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(host)])
        signer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_id)
        certificate = (
            _build(name, self.name, key, days)
            .add_extension(names, critical=False)
            .add_extension(signer, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        pair = CertificatePair(folder / f"{name}.crt", folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.private_key.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return pair


def copy_pair(source: CertificatePair, target: CertificatePair) -> None:
    """Replace a certificate on disk by another."""
    target.certificate.write_bytes(source.certificate.read_bytes())
    target.private_key.write_bytes(source.private_key.read_bytes())
