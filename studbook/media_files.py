"""The files that images, tables and histograms are kept in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from studbook.client_settings import ClientSettings
from studbook.exceptions import InvalidArgument
from studbook.logged_values import NotLoggable
from studbook.media import Histogram, Image, Table
from studbook.safe_paths import check_artifact_path

TABLE_TYPE = "application/vnd.studbook.table+json"
HISTOGRAM_TYPE = "application/vnd.studbook.histogram+json"


@dataclass(frozen=True)
class MediaFile:
    """A file to be kept with the run.

    Attributes:
        path: Artifact path.
        media_type: Media type.
        data: Its bytes.
        remarks: What of the value was left out, in words.
    """

    path: str
    media_type: str
    data: bytes
    remarks: list[str] = field(default_factory=list)


def media_file(key: str, step: int, value: Any) -> MediaFile:
    """The file for a value that was logged under a key at a step.

    Raises:
        NotLoggable: When the value is not what it says it is, is too large, or the key cannot be
            part of an artifact path.
    """
    try:
        file = _made(f"media/{key}/{step:012d}", value)
        check_artifact_path(file.path)
    except InvalidArgument as error:
        raise NotLoggable(str(error)) from error
    except Exception as error:  # what a value's own code raises is not known
        kind = type(value).__name__
        message = f"{key} is {kind} that cannot be kept: {type(error).__name__}: {error}"
        raise NotLoggable(message) from error
    most = ClientSettings.from_environment().media_bytes
    if len(file.data) > most:
        message = (
            f"{key} takes {len(file.data)} bytes, more than the {most} of STUDBOOK_MEDIA_BYTES; "
            "log it as an artifact"
        )
        raise NotLoggable(message)
    return file


def _made(place: str, value: Any) -> MediaFile:
    settings = ClientSettings.from_environment()
    if isinstance(value, Table):
        from studbook.media_tables import table_json  # noqa: PLC0415 - not every run has one

        data, remarks = table_json(value, settings.table_rows)
        return MediaFile(f"{place}.table.json", TABLE_TYPE, data, remarks)
    if isinstance(value, Histogram):
        from studbook.media_tables import histogram_json  # noqa: PLC0415

        return MediaFile(f"{place}.histogram.json", HISTOGRAM_TYPE, histogram_json(value))
    from studbook.media_images import image_file  # noqa: PLC0415

    pictured = value.data if isinstance(value, Image) else value
    data, ending, media_type, remarks = image_file(
        pictured, settings.image_pixels, settings.media_bytes
    )
    return MediaFile(f"{place}.{ending}", media_type, data, remarks)
