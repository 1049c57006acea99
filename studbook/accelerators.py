"""Which accelerators this process may use: NVIDIA, AMD and Apple devices."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studbook.fork_gate import importing
from studbook.system_names import apple_name

_GIB = 2**30


@dataclass(frozen=True)
class NvidiaDevice:
    """A device of NVIDIA's.

    Attributes:
        index: Its place among all devices of the machine.
        name: Model.
        uuid: `GPU-…`.
        memory_bytes: Its memory; 0 when it is not known.
        handle: What NVIDIA's library knows it by; None without the library.
    """

    index: int
    name: str
    uuid: str
    memory_bytes: int = 0
    handle: Any = None


def describe_accelerators(root: Path = Path("/")) -> list[str]:
    """One description each; `root` is where /proc and /sys are."""
    found = [_described(device.name, device.memory_bytes) for device in nvidia_devices(root)]
    found += _amd_devices(root)
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        found.append(f"{apple_name()} GPU")
    return found


def nvidia_devices(root: Path = Path("/")) -> list[NvidiaDevice]:
    """NVIDIA's devices that CUDA shows this process, in the order of the machine.

    Asked of NVIDIA's library where its Python binding `pynvml` is installed, else of the driver.
    """
    return _visible(_devices_of_library() or _devices_of_driver(root))


def _devices_of_library() -> list[NvidiaDevice]:
    try:
        with importing():
            import pynvml  # noqa: PLC0415 - an optional dependency

        pynvml.nvmlInit()
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            found.append(
                NvidiaDevice(
                    index,
                    _as_text(pynvml.nvmlDeviceGetName(handle)),
                    _as_text(pynvml.nvmlDeviceGetUUID(handle)),
                    int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                    handle,
                )
            )
    except Exception:  # noqa: BLE001 - a library of somebody else's, or a machine without devices
        return []
    return found


def _as_text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _devices_of_driver(root: Path) -> list[NvidiaDevice]:
    found: list[NvidiaDevice] = []
    for information in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        facts: dict[str, str] = {}
        for line in _text(information).splitlines():
            name, _, value = line.partition(":")
            facts[name.strip()] = value.strip()
        if "Model" in facts:
            found.append(NvidiaDevice(len(found), facts["Model"], facts.get("GPU UUID", "")))
    return found


def _visible(devices: list[NvidiaDevice]) -> list[NvidiaDevice]:
    """The devices that CUDA_VISIBLE_DEVICES names, by index or by the beginning of their UUID."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return devices
    chosen = []
    for name in (part.strip() for part in named.split(",")):
        found = [
            device
            for device in devices
            if name == str(device.index) or (len(name) > 4 and device.uuid.startswith(name))
        ]
        if len(found) != 1:
            break  # as CUDA does: what comes after a name that it does not know is not used
        chosen += found
    return sorted(set(chosen), key=lambda device: device.index)


def _amd_devices(root: Path) -> list[str]:
    found = []
    for device in sorted((root / "sys/class/drm").glob("card*/device")):
        if _text(device / "vendor") != "0x1002":
            continue
        name = _text(device / "product_name") or f"AMD {_text(device / 'device')}"
        memory = _text(device / "mem_info_vram_total")
        found.append(_described(name, int(memory) if memory.isdigit() else 0))
    return found


def _described(name: str, memory_bytes: int) -> str:
    return f"{name}, {memory_bytes / _GIB:.1f} GiB" if memory_bytes else name


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
