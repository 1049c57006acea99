"""PNG files from rows of bytes, for machines without Pillow."""

from __future__ import annotations

import zlib
from struct import pack

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour type of PNG by channels: grey, grey and alpha, RGB, RGBA.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
# Fast, and for photographs hardly worse than more effort.
_COMPRESSION = 3


def png_file(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """A PNG file with 8 bits a channel.

    Args:
        pixels: Rows from the top, each with `width` times `channels` bytes.
        width: Pixels in a row.
        height: Number of rows.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    """
    stride = width * channels
    # Each row begins with the number of its filter: 0, none.
    rows = b"".join(b"\0" + pixels[at : at + stride] for at in range(0, height * stride, stride))
    header = pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, _COMPRESSION)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))
