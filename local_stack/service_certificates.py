"""Certificates with which gateway, tracking and registry know each other, made and renewed.

`python -m local_stack.service_certificates AUTHORITY FOLDER` makes what is missing, and renews what
has less than a third of its time left.
"""

from __future__ import annotations

import argparse
import datetime as dt
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local_stack.keys import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_AUTHORITY_DAYS = 3650
# What calls, and what is called; the registry does both.
_COMPONENTS = ("gateway", "tracking", "registry")
# The clock of another machine may be behind.
_CLOCKS = dt.timedelta(hours=1)
# Python 3.13 and newer refuse authorities that do not say so.
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Vouches for the components of one installation, and for nothing else.

    Args:
        folder: Holds `ca.crt` and `ca.key`, made when there are none. Only whoever makes
            certificates needs the folder; no component does.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate, key = folder / "ca.crt", folder / "ca.key"
        if not key.exists():
            _found(certificate, key)
        loaded = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            message = f"{key} is no EC key"
            raise SystemExit(message)
        self._key = loaded
        self.pem = certificate.read_bytes()
        self._certificate = x509.load_pem_x509_certificate(self.pem)

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is one of its own."""
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, InvalidSignature):
            return False
        return True

    def issue(self, folder: Path, component: str, host: str, days: float) -> None:
        """Write `COMPONENT.crt` and `COMPONENT.key`.

        Args:
            folder: Where to.
            component: Whose.
            host: Name or IP address by which it is called.
            days: How long it is good.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _draft(_name(component), self._certificate.subject, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            # Two authorities may have one name, while one takes the other's place.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(self._key)),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        # Whoever reads between the two sees that they do not belong together, and looks again.
        write_private(folder / f"{component}.key", _pem(key))
        write_private(folder / f"{component}.crt", certificate.public_bytes(Encoding.PEM))


def _found(certificate: Path, key_path: Path) -> None:
    """Make a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Studbook service authority")
    own = (
        _draft(name, name, key, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(SIGNS_CERTIFICATES, critical=True)
        .add_extension(_key_id(key), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(certificate, own.public_bytes(Encoding.PEM))
    # The private half last: it marks the pair as complete.
    write_private(key_path, _pem(key))


def _key_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _is_due(certificate: x509.Certificate, host: str) -> bool:
    """Whether a certificate is for another host, or soon at its end."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    left = end - dt.datetime.now(dt.UTC)
    return list(names) != [_host(host)] or left < (end - begin) / 3


def ensure_service_certificates(
    authority_folder: Path, folder: Path, hosts: Mapping[str, str], days: float
) -> list[str]:
    """Make the certificates that are missing or due.

    Args:
        authority_folder: Where the authority's key is, or is to be.
        folder: Where certificates go, and `services-ca.crt`, the authorities that are believed.
        hosts: By which name or IP address a component is called, where that is not its own.
        days: How long new certificates are good.

    Returns:
        The components that have new ones.
    """
    authority = Authority(authority_folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    believed = folder / "services-ca.crt"
    pem = believed.read_bytes() if believed.exists() else b""
    is_believed = authority.pem in pem
    if not is_believed:
        write_private(believed, pem + authority.pem)
    renewed = []
    for component in _COMPONENTS:
        path, host = folder / f"{component}.crt", hosts.get(component, component)
        certificate = x509.load_pem_x509_certificate(path.read_bytes()) if path.exists() else None
        # An authority in the place of another is believed first, and signs the next time.
        if (
            certificate is None
            or _is_due(certificate, host)
            or (is_believed and not authority.has_signed(certificate))
        ):
            authority.issue(folder, component, host, days)
            renewed.append(component)
    return renewed


def _host_of(text: str) -> tuple[str, str]:
    component, _, host = text.partition("=")
    if component not in _COMPONENTS or not host:
        message = f"{text} is not COMPONENT=HOST with one of {', '.join(_COMPONENTS)}"
        raise argparse.ArgumentTypeError(message)
    return component, host


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the certificates that are missing or due; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_stack.service_certificates",
        description="Make the certificates with which gateway, tracking and registry know each "
        "other, and renew those with less than a third of their time left.",
    )
    parser.add_argument("authority", type=Path, metavar="AUTHORITY", help="folder of the CA's key")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where certificates go")
    parser.add_argument("--days", type=float, default=90, help="how long they are good (90)")
    parser.add_argument(
        "--host",
        type=_host_of,
        action="append",
        default=[],
        metavar="COMPONENT=HOST",
        help="name or IP address by which a component is called, where that is not its own name",
    )
    options = parser.parse_args(arguments)
    renewed = ensure_service_certificates(
        options.authority, options.folder, dict(options.host), options.days
    )
    print(f"New certificates: {', '.join(renewed) or 'none, as all are good for a while'}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
