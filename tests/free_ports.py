"""Ports on loopback that nobody listens on."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(number: int) -> list[int]:
    """Free ports on loopback, all different."""
    with ExitStack() as held:
        listeners = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [int(listener.getsockname()[1]) for listener in listeners]


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
