"""What a container or a batch system allows this process: control groups, version 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Version 1 says "no limit" with the largest number of whole pages.
_UNLIMITED_BYTES = 2**60


@dataclass(frozen=True)
class ControlGroup:
    """The groups that a process is in, from the innermost outwards.

    Attributes:
        process: Folder of the process below /proc.
        root: Where the control groups are mounted.
    """

    process: Path = Path("/proc/self")
    root: Path = Path("/sys/fs/cgroup")

    def cpu_limit(self) -> float | None:
        """Processors' worth of time that may be used; None when all of it."""
        found = self._limited_cpu()
        return found[0] if found else None

    def cpu_seconds(self) -> float | None:
        """Processor time used of what is limited; None when it is not known."""
        found = self._limited_cpu()
        if found is None:
            return None
        # Version 2 counts microseconds, among other things; version 1 nanoseconds.
        for line in _text(found[1] / "cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec" and value.isdigit():
                return int(value) / 1e6
        used = _text(found[1] / "cpuacct.usage")
        return int(used) / 1e9 if used.isdigit() else None

    def _limited_cpu(self) -> tuple[float, Path] | None:
        limits = []
        for folder in self._folders("cpu"):
            quota, _, period = _text(folder / "cpu.max").partition(" ")
            if not quota:
                quota = _text(folder / "cpu.cfs_quota_us")
                period = _text(folder / "cpu.cfs_period_us")
            if quota.isdigit() and period.isdigit() and int(period):
                limits.append((int(quota) / int(period), folder))
        return min(limits, default=None)

    def memory_limit(self) -> int | None:
        """Bytes of memory that may be used; None when all of it."""
        found = self._limited_memory()
        return found[0] if found else None

    def memory_used(self) -> int | None:
        """Bytes in use of what is limited, without what could be given back at once."""
        found = self._limited_memory()
        if found is None:
            return None
        folder = found[1]
        used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")
        if not used.isdigit():
            return None
        return max(int(used) - _inactive_bytes(folder), 0)

    def _limited_memory(self) -> tuple[int, Path] | None:
        found = []
        for folder in self._folders("memory"):
            limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
            if limit.isdigit() and int(limit) < _UNLIMITED_BYTES:
                found.append((int(limit), folder))
        return min(found, default=None)

    def _folders(self, controller: str) -> Iterator[Path]:
        for line in _text(self.process / "cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mounted = self.root / controllers if controllers else self.root
            if controllers and not mounted.exists():
                mounted = self.root / controller
            group = Path(path.lstrip("/"))
            # In a container the path may be that of the host, of which only the top is seen.
            for inner in (group, *group.parents):
                yield mounted / inner


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _inactive_bytes(folder: Path) -> int:
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"} and value.isdigit():
            return int(value)
    return 0
