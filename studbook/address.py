"""Where the server is, and whether the way there must be encrypted."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from studbook.exceptions import InvalidArgument

DEFAULT_ADDRESS = "127.0.0.1:7420"
DEFAULT_PORT = 7420
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_ENVIRONMENT = "STUDBOOK_ADDRESS"


@dataclass(frozen=True)
class Address:
    """A gateway's address.

    Attributes:
        host: Name or IP address, without brackets.
        port: TCP port.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True when the connection never leaves this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def secure(self) -> bool:
        """True when the connection uses TLS: everywhere but on loopback."""
        return not self.is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `host`, `host:port`, `[ipv6]:port` or `https://host[:port]`.

    Raises:
        InvalidArgument: When it is none of these, or asks for plain text beyond loopback.
    """
    scheme, separator, rest = text.strip().rpartition("://")
    if separator and scheme not in {"http", "https"}:
        raise _malformed(text)
    parts = urlsplit(f"//{rest}")
    try:
        port = parts.port
    except ValueError:
        raise _malformed(text) from None
    # A user name in an address would end up in logs; a path would be ignored silently.
    if (
        not _HOST.fullmatch(parts.hostname or "")
        or parts.username
        or parts.path.strip("/")
        or parts.query
    ):
        raise _malformed(text)
    address = Address(parts.hostname or "", port or (443 if scheme == "https" else DEFAULT_PORT))
    if scheme == "http" and address.secure:
        message = f"{text} asks for plain text, which is allowed on loopback only; use https://."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return address


def configured_address(explicit: str | None = None) -> str:
    """The address that was given, else STUDBOOK_ADDRESS, else the profile's, else empty.

    Raises:
        InvalidArgument: STUDBOOK_PROFILE names a profile that there is not.
    """
    if given := explicit or os.environ.get(_ENVIRONMENT, ""):
        return given
    from studbook.profiles import Profiles  # noqa: PLC0415 - it parses addresses

    profile = Profiles().active()
    return profile.address if profile is not None else ""


def resolve_address(explicit: str | None = None) -> Address:
    """The address to call: the configured one, else this machine's default."""
    return parse_address(configured_address(explicit) or DEFAULT_ADDRESS)


def _malformed(text: str) -> InvalidArgument:
    return InvalidArgument(
        f'"{text}" is not an address; write host:port, e.g. {DEFAULT_ADDRESS}.',
        reason="FIELD_INVALID",
    )
