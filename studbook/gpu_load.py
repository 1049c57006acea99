"""The load of NVIDIA's devices, asked of NVIDIA's library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from studbook.accelerators import NvidiaDevice

# NVML_TEMPERATURE_GPU: the only sensor that every device has.
_TEMPERATURE_SENSOR = 0


class GpuLoad:
    """How busy the devices are, each under its place among all devices of the machine.

    Args:
        devices: Devices with the handles that the library knows them by.
    """

    def __init__(self, devices: Sequence[NvidiaDevice]) -> None:
        import pynvml  # noqa: PLC0415 - an optional dependency

        self._library: Any = pynvml
        self._devices = devices

    def read(self) -> Mapping[str, float]:
        """`gpu.{n}.` and what the device can tell of `percent`, `memory_bytes` and so on.

        Raises:
            pynvml.NVMLError: When no device tells anything.
        """
        values: dict[str, float] = {}
        problem: Exception | None = None
        for device in self._devices:
            for name, ask in self._questions(device):
                try:
                    values[f"gpu.{device.index}.{name}"] = ask(device.handle)
                except self._library.NVMLError as error:
                    problem = error  # some devices lack a sensor, and parts of devices most of them
        if problem is not None and not values:
            raise problem
        return values

    def _questions(self, device: NvidiaDevice) -> Iterator[tuple[str, Callable[[Any], float]]]:
        library = self._library
        yield "percent", lambda handle: library.nvmlDeviceGetUtilizationRates(handle).gpu
        yield "memory_bytes", lambda handle: library.nvmlDeviceGetMemoryInfo(handle).used
        if device.memory_bytes:
            yield (
                "memory.percent",
                lambda handle: (
                    100.0 * library.nvmlDeviceGetMemoryInfo(handle).used / device.memory_bytes
                ),
            )
        yield "power_watts", lambda handle: library.nvmlDeviceGetPowerUsage(handle) / 1000.0
        yield (
            "temperature_celsius",
            lambda handle: library.nvmlDeviceGetTemperature(handle, _TEMPERATURE_SENSOR),
        )
