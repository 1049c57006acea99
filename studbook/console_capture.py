"""What a program prints, as a file of its run."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from studbook.console_file import read_console, remove_console
from studbook.run_files import logged_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from studbook.record_folder import RunFolder
    from studbook.run_records import Artifacts
    from studbook.surroundings_settings import SurroundingsSettings

_log = logging.getLogger("studbook")

ARTIFACT = "studbook/console.log"
_FOLDER = ".console"
_LONGEST_FAREWELL_S = 5.0


class _Streams(Protocol):
    def tend(self, seconds: float) -> None: ...

    def stop(self) -> None: ...

    def abandon(self) -> None: ...


def console_folder(folder: RunFolder, writer: str) -> Path:
    """Where the console of a process is kept until it is logged as a file."""
    return folder.path / f"{writer}{_FOLDER}"


def logged_console(folder: RunFolder, writer: str) -> Artifacts | None:
    """The record of a process's console as a file of the run; None when nothing was printed.

    Raises:
        OSError: When it cannot be read, or the file cannot be written.
    """
    data = read_console(console_folder(folder, writer))
    return logged_bytes(folder, data, ARTIFACT, "text/plain; charset=utf-8") if data else None


class ConsoleCapture:
    """Records the console of this process. Never raises.

    Args:
        folder: The run's folder.
        writer: Id of the run's writer in this process.
        settings: How much is kept, and how often it is logged.
        append: Takes the record of the console as a file.
        sends: Whether files are sent while the program runs.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: str,
        settings: SurroundingsSettings,
        append: Callable[[Artifacts], None],
        *,
        sends: bool,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._settings = settings
        self._append = append
        self._sends = sends
        self._streams: _Streams | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="studbook-console", daemon=True)
        self._logged: Artifacts | None = None
        self._warned = False

    def start(self) -> None:
        """Begin to record."""
        place = console_folder(self._folder, self._writer)
        try:
            self._streams = _opened(place, self._settings.console_bytes)
        except OSError as error:
            _log.warning("Studbook: the console is not recorded: %s.", error)
            return
        try:
            self._thread.start()
        except RuntimeError:  # there can be no more threads
            self._streams.stop()
            self._streams.abandon()
            self._streams = None
            raise

    def stop(self) -> None:
        """End, and log what was printed."""
        if self._streams is None:
            return
        self._streams.stop()
        self._stopping.set()
        self._thread.join(_LONGEST_FAREWELL_S)
        self._streams.abandon()
        self._streams = None
        if self._log():
            remove_console(console_folder(self._folder, self._writer))

    def abandon_after_fork(self) -> None:
        """Let go in a child process, whose output the parent goes on to record."""
        if self._streams is not None:
            self._streams.abandon()
            self._streams = None

    def _tend(self) -> None:
        streams = self._streams
        interval = self._settings.console_interval_s
        due = time.monotonic() + interval
        while streams is not None and not self._stopping.is_set():
            remaining = due - time.monotonic()
            if remaining > 0:
                # Short, so that the end is not waited for long.
                streams.tend(min(remaining, 1.0))
                continue
            if self._sends and not self._is_under_way():
                self._log()
            due = time.monotonic() + interval

    def _is_under_way(self) -> bool:
        """Whether what was logged last still waits to be sent."""
        return self._logged is not None and any(
            (self._folder.path / "files" / file.digest.rpartition(":")[2]).exists()
            for file in self._logged.files
        )

    def _log(self) -> bool:
        try:
            files = logged_console(self._folder, self._writer)
            if files is None:
                return True
            if self._logged is None or not _same(files, self._logged):
                self._append(files)
                self._logged = files
        except Exception as error:  # noqa: BLE001 - a training must not end for want of a record
            if not self._warned:
                self._warned = True
                _log.warning("Studbook: what was printed is not recorded: %s", error)
            return False
        return True


def _same(files: Artifacts, others: Artifacts) -> bool:
    return [file.digest for file in files.files] == [file.digest for file in others.files]


def _opened(place: Path, most_bytes: int) -> _Streams:
    from studbook.console_streams import (  # noqa: PLC0415 - few runs record the console
        RelayedStreams,
        WrappedStreams,
    )

    # In a notebook the descriptors lead to the server's log, not to the page.
    if type(sys.stdout).__module__.startswith("ipykernel"):
        return WrappedStreams(place, most_bytes)
    try:
        return RelayedStreams(place, most_bytes)
    except OSError as error:
        _log.warning("Studbook: only what Python code prints is recorded: %s.", error)
        return WrappedStreams(place, most_bytes)
