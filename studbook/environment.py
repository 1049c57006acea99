"""Where a run runs: Python, packages, machine. No variable of the environment is recorded."""

from __future__ import annotations

import logging
import math
import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.accelerators import describe_accelerators
from studbook.conda_environment import observe_conda
from studbook.control_group import ControlGroup
from studbook.fork_gate import importing
from studbook.redaction import command_line_without_secrets, without_secrets
from studbook.run_records import Environment
from studbook.system_names import processor_name, system_name

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_log = logging.getLogger("studbook")

_LONGEST_COMMAND_LINE = 200
_LONGEST_ARGUMENT = 1024
# The contract's limits.
_MOST_PACKAGES = 10_000
_LONGEST_NAME = 256
_IMAGE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def observe_environment() -> Environment:
    """Describe this process and its machine; what cannot be found out stays empty.

    Starts no process and imports nothing large, but reads a file for each installed package.
    """
    return Environment(
        python_version=platform.python_version(),
        python_implementation=platform.python_implementation(),
        platform=system_name(),
        machine=os.uname().machine,
        cpu_count=usable_cpus(),
        memory_bytes=usable_memory(),
        packages=installed_packages(),
        hostname=os.uname().nodename,
        command_line=_command_line(),
        accelerators=describe_accelerators(),
        container_image_digest=image_digest(),
        conda=observe_conda(),
        cpu_model=processor_name(),
    )


def installed_packages() -> dict[str, str]:
    """Version of each installed distribution, by normalised name.

    Where several are installed under one name, the one that an import finds counts.
    """
    with importing():
        from importlib import metadata  # noqa: PLC0415 - takes as long as all else here

    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = _name_and_version(distribution)
        # A folder that lost its METADATA file is listed all the same, without a name.
        if name and version:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower()[:_LONGEST_NAME], version)
    kept = sorted(found.items())[:_MOST_PACKAGES]
    return {name: version[:_LONGEST_NAME] for name, version in kept}


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    # Parsed as a whole, with the description that follows, it would take ten times as long.
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line:
            break
        name, found, value = line.partition(":")
        if found and not name[:1].isspace():
            fields.setdefault(name.lower(), value.strip())
    return fields.get("name", ""), fields.get("version", "")


def usable_cpus(group: ControlGroup | None = None) -> int:
    """Logical processors that this process may use, in a container or a batch job too."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on macOS
        count = os.cpu_count() or 0
    limit = (group or ControlGroup()).cpu_limit()
    return count if limit is None else min(count, max(math.ceil(limit), 1))


def usable_memory(group: ControlGroup | None = None) -> int:
    """Bytes of main memory that this process may use, in a container or a batch job too."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
    limit = (group or ControlGroup()).memory_limit()
    return installed if limit is None else min(installed, limit)


def image_digest() -> str:
    """Digest of the container image, as whoever started the container says.

    A container cannot find it out by itself. It is read from STUDBOOK_IMAGE_DIGEST, or else from
    the file that STUDBOOK_IMAGE_DIGEST_FILE names, such as one of Kubernetes' downward API.
    """
    text = os.environ.get("STUDBOOK_IMAGE_DIGEST", "")
    file = os.environ.get("STUDBOOK_IMAGE_DIGEST_FILE", "")
    if not text and file:
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            _log.warning("Studbook: STUDBOOK_IMAGE_DIGEST_FILE, %s: %s.", file, error.strerror)
            return ""
    found = _IMAGE_DIGEST.search(text)
    if text and not found:
        _log.warning(
            "Studbook: the image digest is not recorded: give sha256: and 64 hexadecimal digits, "
            "with or without the name of the image before it."
        )
    return found[0] if found else ""


def _command_line() -> list[str]:
    arguments = command_line_without_secrets(sys.orig_argv[:_LONGEST_COMMAND_LINE])
    return [without_secrets(argument)[:_LONGEST_ARGUMENT] for argument in arguments]
