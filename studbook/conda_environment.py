"""The conda environment that a run runs in, read from its own records."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from studbook.redaction import without_secrets
from studbook.run_records import CondaEnvironment

# The contract's limits.
_LONGEST_NAME = 256
_MOST_CHANNELS = 100
_MOST_PACKAGES = 10_000
# A record names its channel near its beginning, and lists thousands of files further down.
_BEGINNING = 16 * 1024
_CHANNEL = re.compile(r'"channel"\s*:\s*"([^"\\]*)"')
# Private channels carry their token as a part of the path.
_TOKEN = re.compile(r"/t/[^/\s]+")


def observe_conda() -> CondaEnvironment | None:
    """The active environment, or the one that Python itself lies in; None when there is none."""
    for prefix in (os.environ.get("CONDA_PREFIX"), sys.prefix):
        if prefix and (Path(prefix) / "conda-meta").is_dir():
            return read_conda(Path(prefix))
    return None


def read_conda(prefix: Path) -> CondaEnvironment:
    """What is installed in an environment; records that cannot be read are passed over."""
    packages: dict[str, str] = {}
    channels: set[str] = set()
    for record in sorted((prefix / "conda-meta").glob("*.json"))[:_MOST_PACKAGES]:
        # Named {name}-{version}-{build}, of which only the name may hold dashes.
        parts = record.stem.rsplit("-", 2)
        if len(parts) == 3:
            packages[parts[0]] = f"{parts[1]}={parts[2]}"
            channels.add(_channel(record))
    channels.discard("")
    return CondaEnvironment(
        name=_name(prefix), packages=packages, channels=sorted(channels)[:_MOST_CHANNELS]
    )


def _name(prefix: Path) -> str:
    active = os.environ.get("CONDA_PREFIX") == str(prefix)
    name = os.environ.get("CONDA_DEFAULT_ENV", "") if active else ""
    return without_secrets(Path(name or prefix).name)[:_LONGEST_NAME]


def _channel(record: Path) -> str:
    try:
        with record.open(encoding="utf-8", errors="replace") as file:
            found = _CHANNEL.search(file.read(_BEGINNING))
        channel = found[1] if found else json.loads(record.read_bytes())["channel"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return _TOKEN.sub("", without_secrets(str(channel)))
