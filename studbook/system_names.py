"""What the operating system and the processor are called, found out without starting a process."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_LONGEST_NAME = 256


def system_name() -> str:
    """Kernel, release, architecture and C library, as `platform.platform()` writes them."""
    # That function itself starts `uname -p`, only to ask for something that it leaves out.
    system = os.uname()
    if system.sysname == "Darwin":
        return f"macOS-{platform.mac_ver()[0]}-{system.machine}"
    library = "".join(platform.libc_ver())
    name = f"{system.sysname}-{system.release}-{system.machine}"
    return f"{name}-with-{library}" if library else name


def processor_name(root: Path = Path("/")) -> str:
    """Model of the processor; empty when it is not known. `root` is where /proc is."""
    if os.uname().sysname == "Darwin":
        return apple_name()
    try:
        text = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, found, value = line.partition(":")
        if found:
            facts.setdefault(name.strip(), value.strip())
    # x86, then boards and older ARM, then POWER; newer ARM only says who made it, in numbers.
    for name in ("model name", "Model", "Hardware", "cpu"):
        if facts.get(name):
            return facts[name][:_LONGEST_NAME]
    if "CPU part" in facts:
        maker, part = facts.get("CPU implementer", ""), facts["CPU part"]
        return f"ARM implementer {maker} part {part}"[:_LONGEST_NAME]
    return ""


def apple_name() -> str:
    """What Apple calls the chip, e.g. `Apple M2`."""
    import ctypes  # noqa: PLC0415 - only here

    try:
        size = ctypes.c_size_t(_LONGEST_NAME)
        answer = ctypes.create_string_buffer(size.value)
        failed = ctypes.CDLL(None).sysctlbyname(
            b"machdep.cpu.brand_string", answer, ctypes.byref(size), None, ctypes.c_size_t(0)
        )
    except (OSError, AttributeError):
        return ""
    return "" if failed else answer.value.decode(errors="replace")
