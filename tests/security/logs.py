"""What the castle's processes write down while something happens."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from tests.security.castle import Castle

PROCESSES = ("gateway", "registry", "tracking")


class Logs:
    """The lines that are added from the moment on at which the context is entered.

    Args:
        castle: Whose logs.
    """

    def __init__(self, castle: Castle) -> None:
        self._files = [castle.stack.folder.logs / f"{name}.log" for name in PROCESSES]

    def __enter__(self) -> Self:
        self._starts = [file.stat().st_size for file in self._files]
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    @property
    def text(self) -> str:
        """All that was added."""
        parts = []
        for file, start in zip(self._files, self._starts, strict=True):
            with file.open("rb") as log:
                log.seek(start)
                parts.append(log.read().decode())
        return "".join(parts)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines that are whole, those of one process after those of the other."""
        whole = [line for line in self.text.splitlines(keepends=True) if line.endswith("\n")]
        return [json.loads(line) for line in whole if line.startswith("{")]

    def wait_for(self, event: str, what: Callable[[], object]) -> None:
        """Do something, and wait until one more line tells of an event."""

        def told() -> int:
            return sum(line["event"] == event for line in self.lines)

        before, deadline = told(), time.monotonic() + PATIENCE_S
        what()
        while told() == before:
            assert time.monotonic() < deadline, f"no line {event}"
            time.sleep(0.05)
