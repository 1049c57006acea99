"""The load of a Linux machine, read from /proc and /sys."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.control_group import ControlGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from studbook.system_metrics import LoadSource

_ROOT = Path("/")
_SECTOR_BYTES = 512
# Devices that pass on to others what they are asked, or that are no disks.
_STACKED_DEVICES = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")
_MOST_PROCESSES = 4096


def linux_sources() -> Sequence[type[LoadSource]]:
    """All of them, still to be made."""
    return [CpuLoad, MemoryLoad, DiskLoad, NetworkLoad]


class CpuLoad:
    """How busy the processors are that this process may use, in percent of all of them."""

    def __init__(self, root: Path = _ROOT, group: ControlGroup | None = None) -> None:
        self._stat = root / "proc/stat"
        self._group = group or ControlGroup()
        self._limit = self._group.cpu_limit()
        self._last = self._times()

    def read(self) -> Mapping[str, float]:
        """`cpu.percent`."""
        (busy, total), self._last = self._since(self._last, now := self._times()), now
        # In hundredths of a second, so that between two calls nothing may have happened at all.
        return {"cpu.percent": min(100.0 * busy / total, 100.0)} if total > 0 else {}

    @staticmethod
    def _since(last: tuple[float, float], now: tuple[float, float]) -> tuple[float, float]:
        return now[0] - last[0], now[1] - last[1]

    def _times(self) -> tuple[float, float]:
        """Busy time and all time so far, in the same unit."""
        used_s = self._group.cpu_seconds() if self._limit else None
        if self._limit and used_s is not None:
            return used_s, time.monotonic() * self._limit
        return self._times_of_machine()

    def _times_of_machine(self) -> tuple[float, float]:
        usable = os.sched_getaffinity(0)
        busy = total = 0
        for line in self._stat.read_text().splitlines():
            name, *fields = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in usable:
                # The two fields after the eighth are counted in the first two already.
                ticks = [int(field) for field in fields[:8]]
                total += sum(ticks)
                busy += sum(ticks) - ticks[3] - ticks[4]
        return busy, total


class MemoryLoad:
    """Main memory in use, and that of this process with its children."""

    def __init__(self, root: Path = _ROOT, group: ControlGroup | None = None) -> None:
        self._processes = root / "proc"
        self._group = group or ControlGroup()

    def read(self) -> Mapping[str, float]:
        """`memory.used_bytes`, `memory.percent` and `process.memory_bytes`."""
        used, total = self._used_and_total()
        return {
            "memory.used_bytes": used,
            "memory.percent": 100.0 * used / total,
            "process.memory_bytes": self._memory_of_tree(),
        }

    def _used_and_total(self) -> tuple[int, int]:
        facts = {}
        for line in (self._processes / "meminfo").read_text().splitlines()[:8]:
            name, _, value = line.partition(":")
            facts[name] = int(value.split()[0]) * 1024
        total = facts["MemTotal"]
        limit, used = self._group.memory_limit(), self._group.memory_used()
        if limit is not None and used is not None and limit < total:
            return used, limit
        return total - facts["MemAvailable"], total

    def _memory_of_tree(self) -> int:
        pages = 0
        for process in self._tree():
            try:
                pages += int((process / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # it has ended meanwhile
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _tree(self) -> list[Path]:
        found = [self._processes / str(os.getpid())]
        for process in found:
            try:
                for children in (process / "task").glob("*/children"):
                    found += [self._processes / child for child in children.read_text().split()]
            except OSError:
                continue
            if len(found) >= _MOST_PROCESSES:
                break
        return found[:_MOST_PROCESSES]


class _Rates:
    """How fast counters grow."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts
        self._since = time.monotonic()

    def update(self, counts: Mapping[str, int]) -> dict[str, float]:
        """What was added to each a second, since it was last asked."""
        now = time.monotonic()
        elapsed = now - self._since
        rates = {
            # A device that was taken away, or a counter that began again, is no negative load.
            name: max(count - self._counts.get(name, 0), 0) / elapsed
            for name, count in counts.items()
        }
        self._counts, self._since = counts, now
        return rates


class DiskLoad:
    """How full the disk of the working folder is, and what all disks read and write."""

    def __init__(self, root: Path = _ROOT, folder: Path | None = None) -> None:
        self._root = root
        self._folder = folder or Path.cwd()
        self._rates = _Rates(self._bytes())

    def read(self) -> Mapping[str, float]:
        """`disk.percent`, `disk.read_bytes_per_s` and `disk.write_bytes_per_s`."""
        system = os.statvfs(self._folder)
        used = system.f_blocks - system.f_bfree
        usable = used + system.f_bavail
        full = {"disk.percent": 100.0 * used / usable} if usable else {}
        return {**full, **self._rates.update(self._bytes())}

    def _bytes(self) -> Mapping[str, int]:
        read = written = 0
        for line in (self._root / "proc/diskstats").read_text().splitlines():
            fields = line.split()
            if self._is_disk(fields[2]):
                read += int(fields[5])
                written += int(fields[9])
        return {
            "disk.read_bytes_per_s": read * _SECTOR_BYTES,
            "disk.write_bytes_per_s": written * _SECTOR_BYTES,
        }

    def _is_disk(self, name: str) -> bool:
        # Partitions count with their disk.
        in_use = (self._root / "sys/block" / name.replace("/", "!")).exists()
        return in_use and not name.startswith(_STACKED_DEVICES)


class NetworkLoad:
    """What the network interfaces that this process sees send and receive."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._file = root / "proc/net/dev"
        self._rates = _Rates(self._bytes())

    def read(self) -> Mapping[str, float]:
        """`network.sent_bytes_per_s` and `network.received_bytes_per_s`."""
        return self._rates.update(self._bytes())

    def _bytes(self) -> Mapping[str, int]:
        sent = received = 0
        for line in self._file.read_text().splitlines()[2:]:
            name, _, counts = line.partition(":")
            if name.strip() != "lo":
                fields = counts.split()
                received += int(fields[0])
                sent += int(fields[8])
        return {"network.sent_bytes_per_s": sent, "network.received_bytes_per_s": received}
