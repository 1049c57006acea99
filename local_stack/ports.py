"""The loopback ports of a local stack."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass

HOST = "127.0.0.1"


class PortInUseError(RuntimeError):
    """Somebody else listens on a port that was asked for."""


@dataclass(frozen=True)
class Ports:
    """Where each part listens. 0 stands for any free port, chosen at each start."""

    gateway: int = 7420
    issuer: int = 7421
    tracking: int = 7422
    registry: int = 7423
    web: int = 7424

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Five ports in a row, or five free ones for base 0."""
        if base == 0:
            return cls(0, 0, 0, 0, 0)
        return cls(base, base + 1, base + 2, base + 3, base + 4)

    @property
    def any_is_free_choice(self) -> bool:
        """Whether a start picks at least one of the ports itself."""
        return 0 in asdict(self).values()

    def chosen(self) -> Ports:
        """The same with zeros replaced by free ports.

        Raises:
            PortInUseError: A port that was asked for is taken.
        """
        with ExitStack() as held:
            taken = {}
            for name, port in asdict(self).items():
                try:
                    # All are held until the last is chosen, so that none is chosen twice.
                    listener = held.enter_context(socket.create_server((HOST, port)))
                except OSError as error:
                    message = (
                        f"Port {port} for the {name} cannot be used: {error.strerror}. "
                        "Another `studbook up` may be running; choose other ports with --port-base."
                    )
                    raise PortInUseError(message) from error
                taken[name] = int(listener.getsockname()[1])
        return Ports(**taken)
