"""Messages that carry the bytes of files, read and written without copying the bytes.

In UploadRequest, DownloadResponse and FetchArtifactsResponse the bytes are field 2, and all
messages of a transfer but the first hold that field alone. On the wire such a message is one byte
that names the field, the number of bytes as a varint, and the bytes; so the bytes can be taken out
of the message as they lie there, and read from a file right behind a prepared beginning. Messages
of any other form go through the generated code.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

PIECE_BYTES = 1024 * 1024
"""How many bytes of a file go into one message: more is no faster and takes more memory."""

# Field 2, of the wire type that begins with a length.
_TAG = 2 << 3 | 2
_LONGEST_VARINT = 5
_FREED_MEMORY_TO_KEEP = 16 * 1024 * 1024


class BulkData:
    """A message of which only `data` is set; for any other field it answers as an empty one.

    Args:
        wire: The message as it goes over the network.
        start: Where in it the bytes begin.
        like: An empty message of the generated type, if fields besides `data` will be asked for.
    """

    __slots__ = ("_like", "_start", "wire")

    def __init__(self, wire: bytes, start: int, like: Message | None = None) -> None:
        self.wire = wire
        self._start = start
        self._like = like

    @property
    def data(self) -> memoryview:
        """The bytes."""
        return memoryview(self.wire)[self._start :]

    def __getattr__(self, name: str) -> Any:
        """A field that is not set."""
        return getattr(self._like, name)


def beginning(size: int) -> bytes:
    """What stands before so many bytes of `data` on the wire."""
    encoded = bytearray((_TAG,))
    while size > 0x7F:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)


def parse(wire: bytes, like: Message | None = None) -> BulkData | None:
    """The message, if it consists of `data` and nothing else; None otherwise."""
    if len(wire) < 2 or wire[0] != _TAG:
        return None
    size = shift = 0
    for index in range(1, min(len(wire), _LONGEST_VARINT + 1)):
        size |= (wire[index] & 0x7F) << shift
        if wire[index] <= 0x7F:
            start = index + 1
            return BulkData(wire, start, like) if len(wire) - start == size else None
        shift += 7
    return None


def from_file(descriptor: int, offset: int, size: int) -> BulkData:
    """A message with up to `size` bytes of a file, fewer only where the file ends.

    Raises:
        OSError: When they cannot be read.
    """
    start = beginning(size)
    # The one buffer of Python's that can be read into and then becomes bytes without a copy.
    buffer = io.BytesIO()
    buffer.seek(len(start) + size - 1)
    buffer.write(b"\0")
    filled = 0
    with buffer.getbuffer() as view:
        view[: len(start)] = start
        while filled < size:
            count = os.preadv(descriptor, [view[len(start) + filled :]], offset + filled)
            if not count:
                break
            filled += count
    wire = buffer.getvalue()
    if filled == size:
        return BulkData(wire, len(start))
    shorter = beginning(filled)
    return BulkData(shorter + wire[len(start) : len(start) + filled], len(shorter))


def reader(generated: type[Message]) -> Callable[[bytes], Any]:
    """Decodes messages of a generated type: `BulkData` where only `data` is set."""
    empty = generated()

    def read(wire: bytes) -> BulkData | Message:
        return parse(wire, empty) or generated.FromString(wire)

    return read


def write(message: Any) -> bytes:
    """Encodes a `BulkData` or a message of a generated type."""
    if isinstance(message, BulkData):
        return message.wire
    encoded: bytes = message.SerializeToString()
    return encoded


def keep_freed_memory() -> None:
    """Let this process use the memory of one message again for the next.

    The C library gives large blocks back to the system when they are freed, and fetches them anew,
    page by page, for the next message: half of the time of a transfer. After a larger block was
    freed once, glibc keeps blocks up to that size, as in any program that works with arrays. The
    block is never touched, so it takes no memory.
    """
    if sys.platform == "linux":
        bytearray(_FREED_MEMORY_TO_KEEP)
