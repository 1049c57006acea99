"""Where a run runs: Python, packages, machine. No variable of the environment is recorded."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from studbook.redaction import command_line_without_secrets
from studbook.run_records import Environment

_LONGEST_COMMAND_LINE = 200
_LONGEST_ARGUMENT = 1024


def observe_environment() -> Environment:
    """Describe this process and its machine; what cannot be found out stays empty."""
    return Environment(
        python_version=platform.python_version(),
        python_implementation=platform.python_implementation(),
        platform=platform.platform(),
        machine=platform.machine(),
        cpu_count=os.cpu_count() or 0,
        memory_bytes=_memory_bytes(),
        packages=installed_packages(),
        hostname=platform.node(),
        command_line=_command_line(),
        accelerators=_accelerators(),
    )


def installed_packages() -> dict[str, str]:
    """Version of each installed distribution, by normalised name.

    Where several are installed under one name, the one that an import finds counts.
    """
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        information = distribution.metadata
        # A folder that lost its METADATA file is listed all the same, without a name.
        if "Name" in information and "Version" in information:
            name = re.sub(r"[-_.]+", "-", information["Name"]).lower()
            found.setdefault(name, information["Version"])
    return dict(sorted(found.items()))


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def _command_line() -> list[str]:
    arguments = command_line_without_secrets(sys.orig_argv[:_LONGEST_COMMAND_LINE])
    return [argument[:_LONGEST_ARGUMENT] for argument in arguments]


def _accelerators() -> list[str]:
    """NVIDIA devices as the kernel driver lists them, which takes no library and no process."""
    found = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = information.read_text(errors="replace")
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in text.splitlines() if "Model:" in line]
    return found
