"""Signals that end a program end its runs first; what would have happened without us still does."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_log = logging.getLogger("studbook")

# What schedulers, containers and closed terminals send. Ctrl-C is an exception in Python.
_CAUGHT = (signal.SIGTERM, signal.SIGHUP)


class SignalWatch:
    """Notices the signals that end a program.

    Where nothing else handles a signal, the runs are ended and the process dies by the signal.
    Where the program has a handler of its own, that is called, and decides. Signals that are
    ignored stay so. Handlers can be set by the main thread only; elsewhere nothing is watched.

    Args:
        end_runs: Ends all runs of the process because of the named signal.

    Attributes:
        received: Name of the last signal that came; empty when none did.
    """

    def __init__(self, end_runs: Callable[[str], None]) -> None:
        self.received = ""
        self._end_runs = end_runs
        self._previous: dict[int, Any] = {}

    def start(self) -> None:
        """Begin to watch."""
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._previous:
            self.received = ""
        for number in _CAUGHT:
            handler = signal.getsignal(number)
            # None: set by something that is not Python, and could not be called.
            if handler in {None, signal.SIG_IGN} or handler == self._on_signal:
                continue
            self._previous[number] = handler
            signal.signal(number, self._on_signal)

    def stop(self) -> None:
        """Give back the handlers that were there, unless others have taken their place since."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in list(self._previous.items()):
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, previous)
                del self._previous[number]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        previous = self._previous.get(number, signal.SIG_DFL)
        if callable(previous):
            previous(number, frame)
            return
        # From now on an impatient second signal kills at once.
        signal.signal(number, signal.SIG_DFL)
        # In a thread, because the main thread may have been stopped in the middle of anything,
        # with locks in its hands that ending a run takes.
        try:
            threading.Thread(target=self._die, args=(number,), name="studbook-farewell").start()
        except RuntimeError:  # the interpreter is shutting down
            self._die(number)

    def _die(self, number: int) -> None:
        try:
            self._end_runs(signal.Signals(number).name)
        except Exception as error:  # noqa: BLE001 - nothing may keep the process from its end
            _log.warning("Studbook: runs could not be ended: %s", error)
        os.kill(os.getpid(), number)
