"""The access rules in force: read at the start, read again whenever the file changes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

import structlog
from prometheus_client import Gauge, Info

from gateway.access_checks import AccessFileError, Finding
from gateway.access_rules import AccessRules, load_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = structlog.get_logger("studbook.access")
_POLL_S = 1.0
_IN_FORCE = Info("studbook_access_rules", "Revision of the access rules in force.")
_READ_AT = Gauge(
    "studbook_access_rules_read_time_seconds",
    "When the access rules in force were read, in seconds since 1970.",
)
_FAULTY = Gauge(
    "studbook_access_file_faulty",
    "1 while the access file has a fault, so that older rules are in force; else 0.",
)

Fingerprint = tuple[int, int, int]


class AccessRulesFile:
    """An access file and the rules that are in force because of it.

    Args:
        path: The file. A symbolic link is followed, so that mounted configuration can be swapped.
        accept: Called with new rules right before they come into force. It may refuse them with
            an AccessFileError, and prepares for them otherwise.

    Raises:
        AccessFileError: The file cannot be used, so there are no rules to start with.
    """

    def __init__(self, path: Path, accept: Callable[[AccessRules], None]) -> None:
        self._path = path
        self._accept = accept
        self._seen = self._fingerprint()
        self._current = self._enforce(self._load())

    @property
    def current(self) -> AccessRules:
        """The rules in force at this moment."""
        return self._current

    def _fingerprint(self) -> Fingerprint | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fault = Finding(1, "file", f"cannot be read: {error}")
            raise AccessFileError.of(str(self._path), [fault]) from None

    def _load(self) -> AccessRules:
        return load_rules(self._text(), str(self._path))

    def _enforce(self, rules: AccessRules) -> AccessRules:
        self._accept(rules)
        _IN_FORCE.info({"revision": rules.revision})
        _READ_AT.set(time.time())
        _FAULTY.set(0)
        _log.info("access_rules_in_force", revision=rules.revision, file=str(self._path))
        return rules

    async def watch(self, poll_s: float = _POLL_S) -> NoReturn:
        """Look for changes of the file, for ever."""
        while True:
            await asyncio.sleep(poll_s)
            try:
                await self.reload_if_changed()
            except Exception as error:  # noqa: BLE001 - whatever happens, the next change is read
                _FAULTY.set(1)
                _log.error("defect", exc_info=error)

    async def reload_if_changed(self) -> None:
        """Read the file again when it changed; a faulty one changes only the log and a figure."""
        fingerprint = await asyncio.to_thread(self._fingerprint)
        if fingerprint == self._seen:
            return
        self._seen = fingerprint
        try:
            self._current = self._enforce(await asyncio.to_thread(self._load))
        except AccessFileError as error:
            _FAULTY.set(1)
            _log.error("access_file_refused", in_force=self._current.revision, problems=str(error))
