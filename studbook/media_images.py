"""Image files from what libraries call an image."""

from __future__ import annotations

import io
import math
import os
import stat
from pathlib import Path
from typing import Any

from studbook.media import array_of, is_figure, is_picture
from studbook.png_writer import png_file

_ENDINGS = {
    b"\x89PNG\r\n\x1a\n": ("png", "image/png"),
    b"\xff\xd8\xff": ("jpg", "image/jpeg"),
    b"GIF8": ("gif", "image/gif"),
    b"RIFF": ("webp", "image/webp"),
}


def image_file(data: Any, most_pixels: int, most_bytes: int) -> tuple[bytes, str, str, list[str]]:
    """The bytes of an image file, its ending, its media type, and remarks on what was changed.

    Raises:
        TypeError: When it is not an image.
        ValueError: When it is an array of another shape or kind, bytes of no image file, or the
            path of something else or larger.
        OSError: When a file cannot be read.
    """
    if isinstance(data, (str, os.PathLike)):
        data = _read(Path(data), most_bytes)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return _kept(bytes(data))
    if is_figure(data):
        return _drawn(data, most_pixels)
    if is_picture(data):
        return _saved(data, most_pixels)
    if hasattr(data, "__array__") or hasattr(data, "detach"):
        return _from_array(data, most_pixels)
    message = f"{type(data).__module__}.{type(data).__qualname__} is not an image"
    raise TypeError(message)


def _read(path: Path, most_bytes: int) -> bytes:
    # Looked at first: reading a pipe or a device would block, or never end.
    if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > most_bytes:
        message = f"{path} is no file of at most {most_bytes} bytes"
        raise ValueError(message)
    return path.read_bytes()


def _kept(data: bytes) -> tuple[bytes, str, str, list[str]]:
    for beginning, (ending, media_type) in _ENDINGS.items():
        if data.startswith(beginning) and (ending != "webp" or data[8:12] == b"WEBP"):
            return data, ending, media_type, []
    message = "its bytes are no PNG, JPEG, GIF or WebP file"
    raise ValueError(message)


def _drawn(figure: Any, most_pixels: int) -> tuple[bytes, str, str, list[str]]:
    dots = float(figure.get_dpi())
    width, height = (float(inches) for inches in figure.get_size_inches())
    pixels = width * height * dots * dots
    remarks = []
    if pixels > most_pixels:
        dots *= math.sqrt(most_pixels / pixels)
        remarks = [_made_smaller(round(pixels), most_pixels)]
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=dots)
    return target.getvalue(), "png", "image/png", remarks


def _saved(image: Any, most_pixels: int) -> tuple[bytes, str, str, list[str]]:
    width, height = image.size
    remarks = []
    if width * height > most_pixels:
        remarks = [_made_smaller(width * height, most_pixels)]
        image = image.reduce(_factor(width * height, most_pixels))
    if image.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
        image = image.convert("RGB")
    target = io.BytesIO()
    image.save(target, format="PNG")
    return target.getvalue(), "png", "image/png", remarks


def _from_array(data: Any, most_pixels: int) -> tuple[bytes, str, str, list[str]]:
    import numpy as np  # noqa: PLC0415 - whoever has an array has it

    array = _channels_last(array_of(data)) if hasattr(data, "detach") else np.asarray(data)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    channels = 1 if array.ndim == 2 else array.shape[-1]
    if array.ndim not in {2, 3} or channels not in {1, 3, 4} or not array.size:
        message = f"an array of shape {array.shape} is no image: give height x width, or height x "
        raise ValueError(message + "width x 1, 3 or 4")
    height, width = array.shape[:2]
    remarks = []
    if height * width > most_pixels:
        remarks = [_made_smaller(height * width, most_pixels)]
        step = _factor(height * width, most_pixels)
        array = array[::step, ::step]
        height, width = array.shape[:2]
    pixels = np.ascontiguousarray(_as_bytes(array, np))
    return _png(pixels, width, height, channels), "png", "image/png", remarks


def _channels_last(array: Any) -> Any:
    """A tensor's array with its channels last; unless they can only be that already."""
    channels = {1, 3, 4}
    first = array.ndim == 3 and array.shape[0] in channels and array.shape[2] not in channels
    return array.transpose(1, 2, 0) if first else array


def _as_bytes(array: Any, np: Any) -> Any:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * 255
    if kind == "f":
        # What is not a number is shown as black.
        scaled = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
        return np.rint(np.clip(scaled, 0.0, 1.0) * 255).astype(np.uint8)
    if kind in "iu":
        return np.clip(array, 0, 255).astype(np.uint8)
    message = f"an array of {array.dtype} is no image: give uint8, or floats from 0 to 1"
    raise ValueError(message)


def _png(pixels: Any, width: int, height: int, channels: int) -> bytes:
    try:
        from PIL import Image  # noqa: PLC0415 - optional
    except ImportError:
        return png_file(pixels.tobytes(), width, height, channels)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="PNG", compress_level=3)
    return target.getvalue()


def _factor(pixels: int, most: int) -> int:
    return math.ceil(math.sqrt(pixels / most))


def _made_smaller(pixels: int, most: int) -> str:
    return (
        f"made smaller: {pixels} pixels are more than the {most} of STUDBOOK_IMAGE_PIXELS; "
        "to keep all of it, log the file as an artifact"
    )
