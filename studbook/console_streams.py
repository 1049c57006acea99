"""Standing between a program's standard output and where it leads: by descriptor, or in Python."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.console_recorder import ConsoleRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger("studbook")

_START_PATIENCE_S = 10.0
_END_PATIENCE_S = 5.0
_SAVE_INTERVAL_S = 1.0
_READ_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024
_RELAY = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from studbook.console_relay import main; main()"
)


class RelayedStreams:
    """Leads the descriptors 1 and 2 through a relay process, so that all who print are heard.

    Args:
        folder: Folder to record into.
        most_bytes: How much is kept.

    Raises:
        OSError: When the relay cannot be started; nothing is changed then.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._channels: list[_Channel] = []
        self._control, theirs = socket.socketpair()
        self._acknowledged = threading.Event()
        self._relay_is_gone = False
        self._stopping = False
        try:
            for numbers in _standard_streams():
                self._channels.append(_Channel(numbers))
            _start_relay(folder, most_bytes, theirs, self._channels)
            _flush()
            for channel in self._channels:
                channel.begin()
        except OSError:
            self.abandon()
            raise
        finally:
            theirs.close()

    def tend(self, seconds: float) -> None:
        """Wait so long, and see to it meanwhile that what is printed goes on."""
        if self._relay_is_gone:
            self._pass_on(seconds)
        elif self._told_within(seconds):
            # At the end the relay may have nothing left to do, and be gone before it is told so.
            if self._stopping:
                self._acknowledged.set()
            else:
                self._do_without_relay()

    def _told_within(self, seconds: float) -> bool:
        """Whether the relay says that it is done, or says nothing any more."""
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        return bool(waiting.poll(seconds * 1000)) and not self._acknowledged.is_set()

    def stop(self) -> None:
        """Lead the descriptors where they led before, and wait until all is recorded.

        Another thread must be tending meanwhile.
        """
        self._stopping = True
        _flush()
        for channel in self._channels:
            channel.restore()
        if not self._relay_is_gone:
            with contextlib.suppress(OSError):
                self._control.send(b"s")
                self._acknowledged.wait(_END_PATIENCE_S)

    def abandon(self) -> None:
        """Close what belongs to this process alone; where descriptors lead stays as it is."""
        self._control.close()
        for channel in self._channels:
            channel.close()

    def _do_without_relay(self) -> None:
        self._relay_is_gone = True
        for channel in self._channels:
            channel.restore()
        _log.warning("Studbook: the process that records the console ended; it is not recorded.")

    def _pass_on(self, seconds: float) -> None:
        """Do what the relay would have done for other processes that still print through it."""
        waiting = select.poll()
        channels = {channel.reader: channel for channel in self._channels}
        for reader in channels:
            waiting.register(reader, select.POLLIN)
        end = time.monotonic() + seconds
        while (remaining := end - time.monotonic()) > 0:
            for reader, _ in waiting.poll(remaining * 1000):
                try:
                    data = os.read(reader, _READ_BYTES)
                except OSError:
                    data = b""
                if data:
                    with contextlib.suppress(OSError):
                        os.write(channels[reader].target, data)
                else:
                    waiting.unregister(reader)


class _Channel:
    """A pipe, or a pseudo-terminal in place of a terminal, for one or both standard streams.

    Args:
        numbers: Descriptors of streams that lead to the same place.

    Attributes:
        reader: What is printed comes out here.
        target: Where it was meant to go.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._saved = {number: os.dup(number) for number in numbers}
        self.target = self._saved[numbers[0]]
        self.reader, self._writer = _terminal(self.target) or _pipe()
        self._place = _place_of(self._writer)

    def begin(self) -> None:
        """Lead the streams here."""
        for number in self._saved:
            os.dup2(self._writer, number)
        os.close(self._writer)
        self._writer = -1

    def restore(self) -> None:
        """Lead the streams where they led before, unless somebody led them elsewhere."""
        for number, saved in self._saved.items():
            with contextlib.suppress(OSError):
                if _place_of(number) == self._place:
                    os.dup2(saved, number)

    def close(self) -> None:
        """Let go of all descriptors but those of the streams themselves."""
        for descriptor in (self.reader, self._writer, *self._saved.values()):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def _standard_streams() -> list[list[int]]:
    """The descriptors 1 and 2 as far as they are open; together when they lead to one place."""
    # A descriptor that was closed at the start may belong to any file by now.
    numbers = [n for n, stream in ((1, sys.__stdout__), (2, sys.__stderr__)) if stream is not None]
    places: dict[tuple[int, int], list[int]] = {}
    for number in numbers:
        with contextlib.suppress(OSError):
            places.setdefault(_place_of(number), []).append(number)
    return list(places.values())


def _place_of(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _terminal(target: int) -> tuple[int, int] | None:
    """Both ends of a pseudo-terminal as wide as the terminal; None when it is none."""
    if not os.isatty(target):
        return None
    reader, writer = os.openpty()
    with contextlib.suppress(OSError, termios.error):
        attributes = termios.tcgetattr(writer)
        # The terminal itself makes a new line of a line's end.
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(writer, termios.TCSANOW, attributes)
        size = fcntl.ioctl(target, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(writer, termios.TIOCSWINSZ, size)
    return reader, writer


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader, writer


def _start_relay(
    folder: Path, most_bytes: int, control: socket.socket, channels: Sequence[_Channel]
) -> None:
    if not sys.executable:
        raise FileNotFoundError(2, "the path of the Python interpreter is not known")
    package = Path(__file__).resolve().parents[1]
    pairs = [f"{channel.reader}:{channel.target}" for channel in channels]
    inherited = [number for channel in channels for number in (channel.reader, channel.target)]
    arguments = [str(package), str(folder), str(most_bytes), str(control.fileno()), *pairs]
    try:
        # It puts itself into the background, so that there is nothing to wait for later.
        code = subprocess.run(  # noqa: S603 - no shell, and the arguments are our own
            [sys.executable, "-I", "-S", "-c", _RELAY, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[control.fileno(), *inherited],
            timeout=_START_PATIENCE_S,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(110, "the process that records the console does not start") from error
    if code:
        raise OSError(code, "the process that records the console does not start")


def _flush() -> None:
    """Let everything that was printed so far come out of its buffers."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()  # type: ignore[union-attr] # None is an AttributeError
    # That of C libraries; under either name, by operating system.
    library = ctypes.CDLL(None)
    for name in ("stdout", "__stdoutp"):
        with contextlib.suppress(ValueError):
            library.fflush(ctypes.c_void_p.in_dll(library, name))


class WrappedStreams:
    """Wraps `sys.stdout` and `sys.stderr`: hears Python code only, but does so in notebooks too.

    Args:
        folder: Folder to record into.
        most_bytes: How much is kept.

    Raises:
        OSError: When the folder cannot be made.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._recorder = ConsoleRecorder(folder, most_bytes)
        self._stopped = threading.Event()
        self._wrapped = {
            name: _WrappedStream(stream, self._recorder)
            for name in ("stdout", "stderr")
            if (stream := getattr(sys, name)) is not None
        }
        for name, stream in self._wrapped.items():
            setattr(sys, name, stream)

    def tend(self, seconds: float) -> None:
        """Wait so long, and write down what was printed meanwhile."""
        self._stopped.wait(min(seconds, _SAVE_INTERVAL_S))
        self._recorder.save()

    def stop(self) -> None:
        """Put the streams back, unless somebody has put others in their place."""
        for name, stream in self._wrapped.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.wrapped)
        self._recorder.close()
        self._stopped.set()

    def abandon(self) -> None:
        """Leave recording to the process that this one was forked from."""
        for stream in self._wrapped.values():
            stream.recorder = None


class _WrappedStream:
    """A text stream that is recorded, and otherwise is as it was."""

    def __init__(self, wrapped: Any, recorder: ConsoleRecorder) -> None:
        self.wrapped = wrapped
        self.recorder: ConsoleRecorder | None = recorder

    def write(self, text: str) -> Any:
        written = self.wrapped.write(text)
        if self.recorder is not None:
            with contextlib.suppress(Exception):  # whatever it is, it is printed
                self.recorder.feed(text)
        return written

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)
