"""SemVer numbers: reading them, and a text that sorts like them.

Databases do not know SemVer precedence. Each number is therefore stored beside a key whose bytes
sort in order of precedence, so that ordering, ranges and "the highest" are plain index reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from semantic_version import Version as SemVer

from service_chassis.errors import invalid_field, required_field

LONGEST = 128

# In ASCII order: a pre-release sorts below its release, the end of an identifier below every
# character that may stand in one, a numeric identifier below any other.
_PRERELEASE = "-"
# What the key of a release ends with, and nothing else in any key is.
RELEASE_MARK = "~"
_IDENTIFIER_END = "!"
_NUMERIC, _ALPHANUMERIC = "0", "1"


class Part(IntEnum):
    """A part of a number that can go up by one; those behind it become 0."""

    MAJOR = 0
    MINOR = 1
    PATCH = 2


@dataclass(frozen=True, slots=True)
class VersionNumber:
    """A number by SemVer 2.0.0, without build metadata."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()

    def __str__(self) -> str:
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{'.'.join(self.prerelease)}" if self.prerelease else core

    @property
    def sort_key(self) -> str:
        """ASCII text that compares, byte by byte, as the number does by precedence."""
        if not self.prerelease:
            return self.core_key + RELEASE_MARK
        return self.prerelease_key + "".join(map(_identifier_key, self.prerelease))

    @property
    def core_key(self) -> str:
        """What the sort keys of a release and of its pre-releases begin with."""
        return self.series_key + _sortable(str(self.patch))

    @property
    def prerelease_key(self) -> str:
        """A key just below those of all pre-releases of the same release."""
        return self.core_key + _PRERELEASE

    @property
    def series_key(self) -> str:
        """What the sort keys of all numbers with the same major and minor part begin with."""
        return _sortable(str(self.major)) + _sortable(str(self.minor))

    def bumped(self, part: Part) -> VersionNumber:
        """The release in which one part is higher by one."""
        if part is Part.MAJOR:
            return VersionNumber(self.major + 1, 0, 0)
        if part is Part.MINOR:
            return VersionNumber(self.major, self.minor + 1, 0)
        return VersionNumber(self.major, self.minor, self.patch + 1)


# What the first version of a model comes after.
BEFORE_ALL = VersionNumber(0, 0, 0)


def _sortable(digits: str) -> str:
    # Without leading zeros, a longer number is a larger one.
    return f"{len(digits):03d}{digits}"


def _identifier_key(identifier: str) -> str:
    if identifier.isdigit():
        return _NUMERIC + _sortable(identifier) + _IDENTIFIER_END
    return _ALPHANUMERIC + identifier + _IDENTIFIER_END


def parse_number(value: str, field: str, *, leading_v: bool = False) -> VersionNumber:
    """Read a number.

    Args:
        value: What the caller sent.
        field: Name of the request field, for the error.
        leading_v: Whether `v1.2.0` is taken for `1.2.0`.

    Raises:
        StudbookError: FIELD_REQUIRED, or VERSION_INVALID when it is not SemVer 2.0.0.
    """
    if not value:
        raise required_field(field, "it must be a SemVer number such as 1.2.0")
    text = value[1:] if leading_v and value.startswith("v") else value
    try:
        # The library takes digits of any script, and a line break at the end; SemVer does not.
        parsed = SemVer(text) if text.isascii() and text.isprintable() else None
    except ValueError:
        parsed = None
    if parsed is None or len(text) > LONGEST:
        raise _invalid(value, field, f"it must be SemVer 2.0.0 such as 1.2.0, up to {LONGEST} long")
    if parsed.build:
        raise _invalid(value, field, "build metadata (from the + on) cannot be part of a version")
    return VersionNumber(parsed.major, parsed.minor, parsed.patch, tuple(parsed.prerelease))


def _invalid(value: str, field: str, remedy: str) -> Exception:
    return invalid_field(field, value, remedy, reason="VERSION_INVALID")
