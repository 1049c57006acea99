"""Which addresses a service may call when somebody else says where to."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# In its last four bytes such an address names one of IPv4, which a gateway leads to.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


def read_address(text: str) -> Address:
    """An address as a socket has it; IPv4 in the clothes of IPv6 is taken for what it is.

    Raises:
        ValueError: It is none.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of some networks."""
    return any(address in network for network in networks)


def is_public(address: Address) -> bool:
    """Whether an address belongs to one machine of the internet at large."""
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        # Tunnels that lead to an address of IPv4: nobody publishes a service under one.
        return address.sixtofour is None and address.teredo is None and address not in _TRANSLATED
    return True


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as they stand in settings, e.g. `10.1.0.0/16`.

    Raises:
        ValueError: One is none.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)
