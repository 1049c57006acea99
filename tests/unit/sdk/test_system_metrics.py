"""The load of the machine: read right, sampled in time, and never in the way."""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from studbook.accelerators import NvidiaDevice
from studbook.control_group import ControlGroup
from studbook.gpu_load import GpuLoad
from studbook.machine_load import CpuLoad, DiskLoad, MemoryLoad, NetworkLoad, linux_sources
from studbook.portable_load import PortableLoad
from studbook.system_metrics import SystemMetrics
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES = {
    "cpu.percent",
    "memory.used_bytes",
    "memory.percent",
    "process.memory_bytes",
    "disk.percent",
    "disk.read_bytes_per_s",
    "disk.write_bytes_per_s",
    "network.sent_bytes_per_s",
    "network.received_bytes_per_s",
}


class Samples:
    """Takes what is sampled, and tells when there is enough."""

    def __init__(self, enough: int = 1) -> None:
        self.taken: list[tuple[int, dict[str, float]]] = []
        self.is_enough = threading.Event()
        self._enough = enough

    def __call__(self, values: dict[str, float], step: int) -> None:
        self.taken.append((step, values))
        if len(self.taken) >= self._enough:
            self.is_enough.set()


class Constant:
    def read(self) -> Mapping[str, float]:
        return {"constant": 1.0}


class Broken:
    def read(self) -> Mapping[str, float]:
        message = "no such device"
        raise OSError(message)


def no_group(root: Path) -> ControlGroup:
    return ControlGroup(root / "none", root / "none")


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_the_first_sample_is_taken_at_once_and_the_last_at_the_end() -> None:
    samples = Samples()
    metrics = SystemMetrics(samples, 3600.0, [Constant()])
    metrics.start()
    assert samples.is_enough.wait(PATIENCE_S)
    metrics.stop()
    assert samples.taken == [(0, {"system/constant": 1.0}), (1, {"system/constant": 1.0})]


def test_samples_go_on_in_between() -> None:
    samples = Samples(enough=5)
    metrics = SystemMetrics(samples, 0.01, [Constant()])
    metrics.start()
    assert samples.is_enough.wait(PATIENCE_S)
    metrics.stop()
    assert [step for step, _ in samples.taken] == list(range(len(samples.taken)))


def test_a_source_that_fails_is_told_of_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    samples = Samples(enough=3)
    metrics = SystemMetrics(samples, 0.01, [Broken(), Constant()])
    metrics.start()
    assert samples.is_enough.wait(PATIENCE_S)
    metrics.stop()
    assert all(values == {"system/constant": 1.0} for _, values in samples.taken)
    assert caplog.text.count("no such device") == 1


def test_a_full_disk_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    tried = threading.Event()

    def refuse(_values: dict[str, float], step: int) -> None:
        if step > 1:
            tried.set()
        raise OSError(28, "No space left on device")

    metrics = SystemMetrics(refuse, 0.01, [Constant()])
    metrics.start()
    assert tried.wait(PATIENCE_S)
    metrics.stop()
    assert caplog.text.count("No space left") == 1


def test_this_machine_tells_everything() -> None:
    sources = [kind() for kind in linux_sources()]
    x = sum(i * i for i in range(300_000))
    assert x
    values = {name: value for source in sources for name, value in source.read().items()}
    assert values.keys() == NAMES
    assert 0 <= values["cpu.percent"] <= 100
    assert 0 < values["memory.percent"] < 100
    assert values["process.memory_bytes"] > 2**20
    assert 0 < values["disk.percent"] <= 100


def test_processors_that_this_process_may_not_use_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {1})
    line = "cpu{} {} 0 0 {} 0 0 0 0 0 0\n"
    write(tmp_path, "proc/stat", line.format(0, 0, 0) + line.format(1, 100, 100))
    load = CpuLoad(tmp_path, no_group(tmp_path))
    assert load.read() == {}
    write(tmp_path, "proc/stat", line.format(0, 900, 0) + line.format(1, 125, 175))
    assert load.read() == {"cpu.percent": 25.0}


def test_memory_is_that_of_the_container(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n")
    used = MemoryLoad(tmp_path, no_group(tmp_path)).read()
    assert (used["memory.used_bytes"], used["memory.percent"]) == (600 * 1024, 60.0)
    write(tmp_path, "group/cgroup", "0::/")
    write(tmp_path, "sys/memory.max", "102400")
    write(tmp_path, "sys/memory.current", "51200")
    used = MemoryLoad(tmp_path, ControlGroup(tmp_path / "group", tmp_path / "sys")).read()
    assert (used["memory.used_bytes"], used["memory.percent"]) == (51200, 50.0)


def test_memory_of_children_counts(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n")
    own = f"proc/{os.getpid()}"
    write(tmp_path, f"{own}/statm", "100 7 0")
    write(tmp_path, f"{own}/task/1/children", "71 72 ")
    write(tmp_path, "proc/71/statm", "100 3 0")
    write(tmp_path, "proc/71/task/71/children", "73")
    write(tmp_path, "proc/73/statm", "100 1 0")
    read = MemoryLoad(tmp_path, no_group(tmp_path)).read()
    assert read["process.memory_bytes"] == 11 * os.sysconf("SC_PAGE_SIZE")


def test_disks_count_once(tmp_path: Path) -> None:
    (tmp_path / "sys/block/sda").mkdir(parents=True)
    (tmp_path / "sys/block/dm-0").mkdir()
    line = "8 0 {} 1 0 {} 0 1 0 {} 0 0 0 0\n"

    def counted(read: int, written: int) -> None:
        text = "".join(line.format(name, read, written) for name in ("sda", "sda1", "dm-0"))
        write(tmp_path, "proc/diskstats", text)

    counted(0, 0)
    load = DiskLoad(tmp_path, tmp_path)
    counted(10, 20)
    rates = load.read()
    assert rates["disk.write_bytes_per_s"] == pytest.approx(2 * rates["disk.read_bytes_per_s"])
    counted(0, 0)
    assert load.read()["disk.read_bytes_per_s"] == 0


def test_what_stays_on_the_machine_is_no_network(tmp_path: Path) -> None:
    line = "{}: {} 0 0 0 0 0 0 0 {} 0 0 0 0 0 0 0\n"
    write(tmp_path, "proc/net/dev", "a\nb\n" + line.format("eth0", 0, 0))
    load = NetworkLoad(tmp_path)
    text = "a\nb\n" + line.format("lo", 10**9, 10**9) + line.format("eth0", 100, 400)
    write(tmp_path, "proc/net/dev", text)
    rates = load.read()
    assert rates["network.sent_bytes_per_s"] == pytest.approx(
        4 * rates["network.received_bytes_per_s"]
    )


class NVMLError(Exception):
    pass


def not_supported(*_: object) -> None:
    raise NVMLError


def nvidia_library(**changes: object) -> SimpleNamespace:
    answers: dict[str, object] = {
        "NVMLError": NVMLError,
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=70),
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=25, total=100),
        "nvmlDeviceGetPowerUsage": lambda _: 250_000,
        "nvmlDeviceGetTemperature": lambda _, sensor: 60 + sensor,
    }
    return SimpleNamespace(**answers | changes)


def test_devices_of_nvidia_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    library = nvidia_library(nvmlDeviceGetPowerUsage=not_supported)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    load = GpuLoad([NvidiaDevice(1, "A", "GPU-1", 100, "handle")])
    assert load.read() == {
        "gpu.1.percent": 70,
        "gpu.1.memory_bytes": 25,
        "gpu.1.memory.percent": 25.0,
        "gpu.1.temperature_celsius": 60,
    }


def test_a_driver_that_broke_down_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in vars(nvidia_library()) if name.startswith("nvml")]
    library = nvidia_library(**dict.fromkeys(names, not_supported))
    monkeypatch.setitem(sys.modules, "pynvml", library)
    with pytest.raises(NVMLError):
        GpuLoad([NvidiaDevice(0, "A", "GPU-1", 100, "handle")]).read()


def test_other_systems_tell_the_same_through_psutil() -> None:
    pytest.importorskip("psutil")
    assert PortableLoad().read().keys() == NAMES
