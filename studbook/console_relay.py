"""A process of its own that passes on what a program prints, and records it.

It stands between the program and its terminal, pipe or file, so that printing needs nothing of
the program's interpreter: code that prints while it holds the interpreter's lock cannot wait for
a reader that needs that lock. It outlives a program that is killed, and then records the rest.

Started with: folder, bytes to keep, descriptor for control, and for each stream the descriptors to
read from and to write to, joined with a colon. Over control it is told `s` to stop recording, and
answers `d` when all is written down.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import sys
import termios
from pathlib import Path

from studbook.console_recorder import ConsoleRecorder

_READ_BYTES = 256 * 1024
_SAVE_INTERVAL_MS = 1000
# What a program wrote to a pseudo-terminal last takes a moment to come out.
_LAST_WORDS_MS = 50
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class ConsoleRelay:
    """Passes on streams until all who write to them are gone.

    Args:
        recorder: Records what is passed on.
        control: Descriptor of a socket.
        streams: Descriptor to write to, by the descriptor to read from.
    """

    def __init__(self, recorder: ConsoleRecorder, control: int, streams: dict[int, int]) -> None:
        self._recorder = recorder
        self._control = control
        self._streams = dict(streams)
        self._waiting = select.poll()
        for descriptor in (control, *streams):
            self._waiting.register(descriptor, select.POLLIN)
        self._unsaved = False

    def run(self) -> None:
        """Go on until the last writer is gone."""
        while self._streams:
            ready = self._waiting.poll(_SAVE_INTERVAL_MS if self._unsaved else None)
            if not ready:
                self._recorder.save()
                self._unsaved = False
            for descriptor, _ in ready:
                if descriptor != self._control:
                    self._relay(descriptor)
            if any(descriptor == self._control for descriptor, _ in ready):
                self._obey()
        self._done()

    def _relay(self, descriptor: int) -> None:
        data = _read(descriptor)
        if not data:
            self._waiting.unregister(descriptor)
            del self._streams[descriptor]
            return
        _write(self._streams[descriptor], data)
        self._recorder.feed(data, descriptor)
        self._unsaved = True

    def _obey(self) -> None:
        if _read(self._control) != b"s":
            self._waiting.unregister(self._control)  # the program is gone
            return
        last_words = select.poll()
        for descriptor in self._streams:
            last_words.register(descriptor, select.POLLIN)
        while ready := last_words.poll(_LAST_WORDS_MS):
            for descriptor, _ in ready:
                self._relay(descriptor)
                if descriptor not in self._streams:
                    last_words.unregister(descriptor)
        self._done()

    def _done(self) -> None:
        self._recorder.close()
        with contextlib.suppress(OSError):
            os.write(self._control, b"d")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:
        return b""  # a pseudo-terminal that nobody has open any more


def _write(descriptor: int, data: bytes) -> None:
    """Write all; what nobody wants to read any more is dropped."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
            waiting = select.poll()
            waiting.register(descriptor, select.POLLOUT)
            waiting.poll()


def _follow_window_size(streams: dict[int, int]) -> None:
    for source, target in streams.items():
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(target, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(source, termios.TIOCSWINSZ, size)


def main() -> None:
    """Do what the command line says, apart from the process that was started."""
    folder, most_bytes, control, *pairs = sys.argv[1:]
    streams = {int(source): int(to) for source, to in (pair.split(":") for pair in pairs)}
    recorder = ConsoleRecorder(Path(folder), int(most_bytes))
    # What ends the program must not end the relay before it has passed on the last words.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    if os.fork():
        # Whoever started this need not wait for its end.
        os._exit(0)
    signal.signal(signal.SIGWINCH, lambda *_: _follow_window_size(streams))
    ConsoleRelay(recorder, int(control), streams).run()
