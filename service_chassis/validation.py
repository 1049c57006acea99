"""Checks of the shape of single fields: length, pattern, count.

Each returns the value in the form in which it is stored, or raises a StudbookError that names the
field, the value and the remedy.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from service_chassis.errors import StudbookError, invalid_field, required_field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

LONGEST_DISPLAY_NAME = 256
LARGEST_PAGE_SIZE = 1000
LONGEST_DESCRIPTION = 4096
MOST_TAGS = 64
LONGEST_TAG_KEY = 128
LONGEST_TAG_VALUE = 1024
LONGEST_PATH_BYTES = 1024
# Of one part; no usual file system takes a longer name.
LONGEST_NAME_BYTES = 255

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_UNFINISHED = re.compile(r"\.studbook-[0-9a-f]+\.part")
_PATH_REMEDY = (
    "give a relative path with / between its parts, without ., .., empty parts, backslashes or "
    "control characters"
)


def check_text(value: str, field: str, longest: int, *, required: bool = False) -> str:
    """Return a text of at most `longest` characters."""
    if required and not value:
        raise required_field(field)
    if len(value) > longest:
        raise invalid_field(field, value, f"at most {longest} characters, these are {len(value)}")
    if "\0" in value:
        # PostgreSQL cannot store it.
        raise invalid_field(field, value, "leave out the NUL character")
    return value


def check_count(values: Sized, field: str, most: int, *, least: int = 0) -> None:
    """Make sure that a repeated field has no more and no fewer entries than allowed."""
    if least and not values:
        raise required_field(field, f"give {least} to {most} entries")
    if not least <= len(values) <= most:
        raise invalid_field(field, f"{len(values)} entries", f"give {least} to {most} entries")


def check_tags(tags: Mapping[str, str], field: str) -> dict[str, str]:
    """Return tags: at most 64, keys of 1 to 128, values of up to 1024 characters."""
    check_count(tags, field, MOST_TAGS)
    for key, value in tags.items():
        if not key:
            raise invalid_field(field, key, "a tag's key must not be empty")
        check_text(key, field, LONGEST_TAG_KEY)
        check_text(value, f"{field}[{key}]", LONGEST_TAG_VALUE)
    return dict(tags)


def check_digest(value: str, field: str) -> str:
    """Return the 64 hexadecimal digits of a digest `sha256:{hex}`."""
    remedy = "give sha256: and 64 hexadecimal digits in lower case"
    if not value:
        raise required_field(field, remedy)
    match = _DIGEST.fullmatch(value)
    if match is None:
        raise invalid_field(field, value, remedy)
    return match[1]


def check_artifact_path(value: str, field: str) -> str:
    """Return a path below a run that cannot lead out of any folder it is joined to."""
    if not value:
        raise required_field(field, _PATH_REMEDY)
    if len(value.encode()) > LONGEST_PATH_BYTES:
        raise _path_refusal(field, value, f"at most {LONGEST_PATH_BYTES} bytes of UTF-8")
    parts = value.split("/")
    if any(len(part.encode()) > LONGEST_NAME_BYTES for part in parts):
        raise _path_refusal(field, value, f"at most {LONGEST_NAME_BYTES} bytes between two /")
    if any(map(_UNFINISHED.fullmatch, parts)):
        raise _path_refusal(field, value, "another name; clients call files so that are not whole")
    if (
        any(part in {"", ".", ".."} for part in parts)
        or "\\" in value
        or any(unicodedata.category(character) in _UNPRINTABLE for character in value)
    ):
        raise _path_refusal(field, value, _PATH_REMEDY)
    return value


def _path_refusal(field: str, value: str, remedy: str) -> StudbookError:
    return invalid_field(field, value, remedy, reason="ARTIFACT_PATH_INVALID")


def check_request_id(value: str, field: str = "request_id") -> str:
    """Return a request id in lower case; empty means that the caller gave none."""
    if value and not _UUID.fullmatch(value):
        raise invalid_field(
            field, value, "give a UUID such as 6f1c1b1e-8d0a-4f5e-9a57-0d6f1f2b3c4d"
        )
    return value.lower()


def check_not_negative(value: int, field: str) -> int:
    """Return a size, count or offset that is 0 or more."""
    if value < 0:
        raise invalid_field(field, value, "give 0 or more")
    return value
