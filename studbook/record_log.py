"""The file that a training process writes down everything in before anything is sent.

The file begins with eight bytes, `SBRECORD`. Then come frames, all numbers little-endian:

    u32 length of the payload | u32 CRC-32 of the payload | payload

A payload is one byte, the kind, and a body. Two kinds are binary, all others are JSON in UTF-8:

    SHAPE    u32 number of the shape, then its metric keys as a JSON list
    METRICS  u32 number of the shape, i64 step, i64 time in microseconds since 1970 (UTC),
             and one f64 for each key of the shape

so that a call which logs ten numbers takes 109 bytes. A file is written by one process, each
record with one `write` to the end; what a crash tears off is the tail of the last frame, which a
reader recognises by its length or its checksum.

What one process logs is a chain of such files, its segments: a file that has grown long enough is
followed by another, and removed once the server has all of it. Each begins anew, with a first
record of its own and with no shapes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    # Given the segment's place in the chain and where in the chain it begins: its path, and kind
    # and body of its first record.
    NextSegment = Callable[[int, int], tuple[Path, int, bytes]]

MAGIC = b"SBRECORD"
SHAPE = 1
METRICS = 2

_FRAME = Struct("<II")
FRAME_BYTES = _FRAME.size
_SHAPE_HEAD = Struct("<BI")
_METRICS_HEAD = Struct("<BIqq")
LARGEST_PAYLOAD = 64 * 1024 * 1024
LARGEST_FILE = 2**62
_READ_BYTES = 1024 * 1024
# A program that invents new keys all the time must not fill the memory with their shapes.
_MOST_SHAPES = 4096


class RecordWriter:
    """Appends records to a new file. Safe to use from several threads.

    The file is locked as long as the writer lives, which is how others can tell. The lock may be
    taken again by the thread that has it: a signal handler may write while its thread does.

    Args:
        path: The file; it must not exist.
        kind: Kind of the first record.
        body: Body of the first record.
        next_segment: Makes the beginning of the next file; None: there is only one.
        segment_bytes: How long a file gets before the next one is begun.

    Raises:
        OSError: When it cannot be made.
    """

    def __init__(
        self,
        path: Path,
        kind: int,
        body: bytes,
        *,
        next_segment: NextSegment | None = None,
        segment_bytes: int = 0,
    ) -> None:
        self._lock = threading.RLock()
        self._shapes: dict[tuple[str, ...], tuple[int, Struct]] = {}
        self._next_shape = 0
        self._next_segment = next_segment
        self._segment_bytes = segment_bytes if next_segment else LARGEST_FILE
        self._rotate_at = self._segment_bytes
        self._segment = 0
        self._base = 0
        self._descriptor, self._size = _begin_file(path, kind, body)

    def append(self, kind: int, body: bytes) -> None:
        """Append one record that is not a metric.

        Raises:
            OSError: When it cannot be written, or is longer than a reader takes; nothing of it is
                left in the file then.
        """
        if len(body) >= LARGEST_PAYLOAD:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        with self._lock:
            if self._size >= self._rotate_at:
                self._rotate()
            self._write(_framed(bytes((kind,)) + body))

    def append_metrics(
        self, keys: tuple[str, ...], step: int, time_us: int, values: Iterable[float]
    ) -> None:
        """Append one value for each key.

        Raises:
            struct.error: When step or values are not numbers that fit.
            OSError: As for `append`.
        """
        with self._lock:
            if self._size >= self._rotate_at:
                self._rotate()
            known = self._shapes.get(keys)
            if known is not None:
                number, layout = known
                self._write(_framed(layout.pack(METRICS, number, step, time_us, *values)))
                return
            number, layout = self._next_shape, Struct(f"<BIqq{len(keys)}d")
            # Packed first: values that do not fit must not leave a shape behind.
            metrics = _framed(layout.pack(METRICS, number, step, time_us, *values))
            shape = _SHAPE_HEAD.pack(SHAPE, number) + json.dumps(keys).encode()
            self._write(_framed(shape) + metrics)
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[keys] = (number, layout)
            self._next_shape += 1

    def close(self) -> None:
        """Close the file. Appending afterwards fails with OSError."""
        with self._lock:
            self._close()

    def abandon_after_fork(self) -> None:
        """Let go of the file in a child process; the parent goes on with it."""
        # Another thread may have held the lock when the process forked.
        self._lock = threading.RLock()
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _rotate(self) -> None:
        """Go on in the next file. When it cannot be made, this one gets longer than it should."""
        if self._next_segment is None or self._descriptor < 0:
            return
        # Not what was counted: a signal may have come between writing and counting.
        base = self._base + os.fstat(self._descriptor).st_size
        try:
            begun = _begin_file(*self._next_segment(self._segment + 1, base))
        except OSError:
            self._rotate_at = self._size + self._segment_bytes
            return
        finished = self._descriptor
        self._descriptor, self._size = begun
        self._rotate_at = self._segment_bytes
        self._segment += 1
        self._base = base
        self._shapes = {}
        self._next_shape = 0
        # Only now: at any moment one file of the chain is locked, and none is written to that is
        # closed, even if a signal ends this in the middle.
        os.close(finished)

    def _write(self, data: bytes) -> None:
        written = os.write(self._descriptor, data)
        if written != len(data):
            # A full disk took only the beginning. Half a frame would hide all that follow.
            end = os.fstat(self._descriptor).st_size
            os.ftruncate(self._descriptor, end - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written


def _begin_file(path: Path, kind: int, body: bytes) -> tuple[int, int]:
    """Make and lock a record file with its first record; returns its descriptor and size."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    # Under its own name the file is never seen without its lock or its first record.
    beginning = path.with_name(f".{path.name}.new")
    descriptor = os.open(beginning, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        head = MAGIC + _framed(bytes((kind,)) + body)
        if os.write(descriptor, head) != len(head):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        beginning.rename(path)
    except OSError:
        os.close(descriptor)
        beginning.unlink(missing_ok=True)
        raise
    return descriptor, len(head)


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), crc32(payload)) + payload


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of a file.

    Attributes:
        kind: Its kind.
        body: Its payload without the kind.
        end: Offset of the first byte after it.
    """

    kind: int
    body: bytes
    end: int


def read_records(descriptor: int, offset: int = 0, stop: int | None = None) -> Iterator[RawRecord]:
    """Read records in order, up to the end or to the first that is not whole.

    Args:
        descriptor: The open file.
        offset: Where to begin: 0, or the end of a record.
        stop: Offset to stop at: the end of a record.
    """
    if offset == 0:
        if os.pread(descriptor, len(MAGIC), 0) != MAGIC:
            return
        offset = len(MAGIC)
    buffer, start, position = b"", offset, 0
    while stop is None or start + position < stop:
        frame = frame_at(buffer, position)
        if frame is None:
            wanted = max(_READ_BYTES, bytes_needed(buffer, position))
            buffer, start, position = (
                os.pread(descriptor, wanted, start + position),
                start + position,
                0,
            )
            frame = frame_at(buffer, position)
            if frame is None:
                return
        body, checksum, length = frame
        if crc32(body) != checksum:
            return
        position += length
        yield RawRecord(body[0], body[1:], start + position)


def bytes_needed(buffer: bytes, position: int) -> int:
    """Bytes that the frame at a position takes, as far as it is known."""
    if len(buffer) - position < FRAME_BYTES:
        return FRAME_BYTES
    length: int = _FRAME.unpack_from(buffer, position)[0]
    return FRAME_BYTES + min(length, LARGEST_PAYLOAD)


def frame_at(buffer: bytes, position: int) -> tuple[bytes, int, int] | None:
    """Payload, checksum and whole length of the frame at a position; None when it is not whole."""
    begin = position + FRAME_BYTES
    if len(buffer) < begin:
        return None
    length, checksum = _FRAME.unpack_from(buffer, position)
    # Every payload has a kind; a length of 0 is what a hole in a file reads as.
    if not 0 < length <= LARGEST_PAYLOAD or len(buffer) < begin + length:
        return None
    return buffer[begin : begin + length], checksum, FRAME_BYTES + length


class MetricDecoder:
    """Turns SHAPE and METRICS records into numbers, remembering the shapes."""

    def __init__(self) -> None:
        self._shapes: dict[int, tuple[tuple[str, ...], Struct]] = {}

    def learn(self, body: bytes) -> None:
        """Take in a SHAPE record."""
        number = int.from_bytes(body[:4], "little")
        keys = tuple(json.loads(body[4:]))
        self._shapes[number] = (keys, Struct(f"<Iqq{len(keys)}d"))

    def keys(self, shape: int) -> tuple[str, ...]:
        """The metric keys of a shape."""
        return self._shapes[shape][0]

    def decode(self, body: bytes) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The keys of a METRICS record, and step, time and values in one tuple."""
        keys, layout = self._shapes[int.from_bytes(body[:4], "little")]
        return keys, layout.unpack(body)[1:]


def learn_shapes(descriptor: int, stop: int) -> MetricDecoder:
    """A decoder that knows the shapes of a file up to an offset."""
    decoder = MetricDecoder()
    for record in read_records(descriptor, 0, stop):
        if record.kind == SHAPE:
            decoder.learn(record.body)
    return decoder
