"""The load of a machine that has no /proc, asked of psutil."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class PortableLoad:
    """Processors, memory, disks and network.

    Args:
        folder: The folder whose disk is looked at; default: the current one.

    Raises:
        ImportError: When psutil is not installed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        import psutil  # noqa: PLC0415 - an optional dependency

        self._library: Any = psutil
        self._folder = folder or Path.cwd()
        self._process = psutil.Process()
        psutil.cpu_percent()
        self._counts, self._since = self._counters(), time.monotonic()

    def read(self) -> Mapping[str, float]:
        """The same names as on Linux."""
        memory = self._library.virtual_memory()
        now, counts = time.monotonic(), self._counters()
        elapsed = now - self._since
        rates = {
            name: max(count - self._counts[name], 0) / elapsed for name, count in counts.items()
        }
        self._counts, self._since = counts, now
        return {
            "cpu.percent": self._library.cpu_percent(),
            "memory.used_bytes": memory.total - memory.available,
            "memory.percent": memory.percent,
            "process.memory_bytes": self._memory_of_tree(),
            "disk.percent": self._library.disk_usage(str(self._folder)).percent,
            **rates,
        }

    def _counters(self) -> dict[str, int]:
        disks = self._library.disk_io_counters()
        network = self._library.net_io_counters()
        return {
            "disk.read_bytes_per_s": disks.read_bytes if disks else 0,
            "disk.write_bytes_per_s": disks.write_bytes if disks else 0,
            "network.sent_bytes_per_s": network.bytes_sent,
            "network.received_bytes_per_s": network.bytes_recv,
        }

    def _memory_of_tree(self) -> int:
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except self._library.Error:
                continue  # it has ended meanwhile
        return total
