"""Files with certificates and keys, used anew whenever they change, without a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import structlog
from prometheus_client import Counter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_log = structlog.get_logger("studbook.files")
_POLL_S = 1.0
_RELOADS = Counter(
    "studbook_file_reloads",
    "Files with certificates or keys that changed, and whether they were taken into use.",
    ["file", "outcome"],
)

Fingerprint = tuple[tuple[int, int, int] | None, ...]


class FollowedFiles:
    """Some files that belong together, and what is to be done when they change.

    Args:
        name: Name of the setting that names them, for log and figures.
        paths: The files. Symbolic links are followed, so that mounted secrets can be swapped.
        use: Reads the files and takes them into use; called at once, and after every change. What
            it raises (OSError, ValueError) says what is wrong with them; then nothing may change.

    Raises:
        SystemExit: They cannot be used, so there is nothing to start with.
    """

    def __init__(self, name: str, paths: Iterable[Path], use: Callable[[], None]) -> None:
        self.name = name
        self._paths = tuple(paths)
        self._use = use
        self._refused: Fingerprint | None = None
        self._seen = self._fingerprint()
        try:
            use()
        except (OSError, ValueError) as error:
            message = f"{name}: {', '.join(map(str, self._paths))} cannot be used: {error}"
            raise SystemExit(message) from None

    def _fingerprint(self) -> Fingerprint:
        return tuple(fingerprint(path) for path in self._paths)

    async def watch(self, poll_s: float = _POLL_S) -> NoReturn:
        """Look for changes, for ever."""
        while True:
            await asyncio.sleep(poll_s)
            await self.look()

    async def look(self) -> None:
        """Use the files again when they changed; faulty ones change nothing but log and figures.

        Files that belong together are seldom replaced in one moment, so a fault is one only when
        it is still there at the next look.
        """
        found = await asyncio.to_thread(self._fingerprint)
        if found == self._seen:
            return
        try:
            self._use()
        except (OSError, ValueError) as error:
            if found == self._refused:
                self._seen = found
                _log.error("files_refused", setting=self.name, problem=str(error))
                _RELOADS.labels(self.name, "refused").inc()
            self._refused = found
            return
        self._seen, self._refused = found, None
        _log.info("files_in_use", setting=self.name)
        _RELOADS.labels(self.name, "used").inc()


def fingerprint(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file; None while there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
