"""The load of the machine as metrics of the run, sampled by a thread."""

from __future__ import annotations

import logging
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from studbook.accelerators import nvidia_devices
from studbook.gpu_load import GpuLoad
from studbook.machine_load import linux_sources
from studbook.portable_load import PortableLoad

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger("studbook")

_PREFIX = "system/"
_LONGEST_FAREWELL_S = 5.0


class LoadSource(Protocol):
    """One thing that is measured, such as the processors."""

    def read(self) -> Mapping[str, float]:
        """Values by name; rates are over the time since the last call, or since it was made."""
        ...


class SystemMetrics:
    """Samples the load at once, then in regular intervals, and once more at the end.

    Args:
        take: Told the values by metric key, and the number of the sample.
        interval_s: Seconds between samples.
        sources: What to measure; default: what there is on this machine.
    """

    def __init__(
        self,
        take: Callable[[dict[str, float], int], None],
        interval_s: float,
        sources: Sequence[LoadSource] | None = None,
    ) -> None:
        self._take = take
        self._interval_s = interval_s
        self._failed: set[str] = set()
        self._sources = list(sources or ())
        self._finds_gpus = sources is None
        if sources is None:
            # Made here, so that rates are over the whole run.
            for kind in _sources():
                self._attempt(kind.__name__, lambda kind=kind: self._sources.append(kind()))  # type: ignore[misc]
        self._samples = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="studbook-metrics", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_LONGEST_FAREWELL_S)

    def _run(self) -> None:
        if self._finds_gpus:
            # Here, because NVIDIA's library may take its time to begin.
            self._attempt("GPUs", self._find_gpus)
        self._sample()
        while not self._stopping.wait(self._interval_s):
            self._sample()
        self._sample()

    def _find_gpus(self) -> None:
        devices = nvidia_devices()
        if any(device.handle is None for device in devices):
            _log.warning(
                "Studbook: the load of the GPUs is not recorded; `pip install nvidia-ml-py` "
                "brings what it takes."
            )
        elif devices:
            self._sources.append(GpuLoad(devices))

    def _sample(self) -> None:
        values: dict[str, float] = {}
        for source in self._sources:
            self._attempt(
                type(source).__name__,
                lambda source=source: values.update(source.read()),  # type: ignore[misc]
            )
        if values:
            named = {_PREFIX + name: value for name, value in values.items()}
            self._attempt("record", lambda: self._take(named, self._samples))
        self._samples += 1

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - one source must not end the others
            if what not in self._failed:
                self._failed.add(what)
                _log.warning("Studbook: system metrics lack a part (%s): %s", what, error)


def _sources() -> Sequence[type[LoadSource]]:
    if Path("/proc/stat").exists():
        return linux_sources()
    if find_spec("psutil") is not None:
        return [PortableLoad]
    _log.warning(
        "Studbook: system metrics are not recorded; on this operating system they take psutil."
    )
    return []
