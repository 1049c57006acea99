"""What is recorded of the machine and the installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from studbook import environment
from studbook.accelerators import describe_accelerators
from studbook.conda_environment import observe_conda
from studbook.control_group import ControlGroup
from studbook.environment import image_digest, observe_environment, usable_cpus, usable_memory
from studbook.run_records import CondaEnvironment, Environment, decode, encode
from studbook.system_names import processor_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIGEST = f"sha256:{'ab' * 32}"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATABASE_PASSWORD", "hunter2-of-the-environment")
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--token", "abc"])
    seen = observe_environment()
    assert seen.python_version == ".".join(map(str, sys.version_info[:3]))
    assert seen.packages["grpcio"]
    assert list(seen.packages) == sorted(seen.packages)
    assert seen.cpu_count >= 1
    assert seen.memory_bytes > 2**20
    assert seen.command_line == ["python", "train.py", "--token", "***"]
    assert "hunter2" not in repr(seen)


def test_no_process_is_started_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail(f"started {arguments} {options}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    observe_environment()


def test_an_environment_comes_back_from_the_record_file() -> None:
    seen = Environment(cpu_model="A", conda=CondaEnvironment("c", {"a": "1=0"}, ["main"]))
    assert decode(*encode(seen)) == seen


def test_broken_and_repeated_distributions_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(
        tmp_path / "first",
        {
            "A_Package-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: A_Package\n"
            "Version: 2.0\nDescription: x\n\nName: other\n",
            "empty-1.0.dist-info/RECORD": "",
        },
    )
    second = write(
        tmp_path / "second",
        {
            "a_package-1.0.dist-info/METADATA": "Name: a-package\nVersion: 1.0\n\n",
            "old-3.egg-info/PKG-INFO": "Name: old\r\nVersion: 3\r\n\r\n",
        },
    )
    monkeypatch.setattr(sys, "path", [str(first), str(second)])
    assert environment.installed_packages() == {"a-package": "2.0", "old": "3"}


CGROUP_2 = {
    "proc/cgroup": "0::/slice/job",
    "sys/slice/cpu.max": "150000 100000",
    "sys/slice/job/cpu.max": "max 100000",
    "sys/slice/memory.max": "max",
    "sys/slice/job/memory.max": "1000000",
    "sys/slice/job/memory.current": "700000",
    "sys/slice/job/memory.stat": "anon 1\ninactive_file 200000\n",
    "sys/slice/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
}
CGROUP_1 = {
    "proc/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n0::/",
    "sys/cpu,cpuacct/job/cpu.cfs_quota_us": "150000",
    "sys/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
    "sys/cpu,cpuacct/job/cpuacct.usage": "2500000000",
    "sys/cpu,cpuacct/cpu.cfs_quota_us": "-1",
    "sys/memory/job/memory.limit_in_bytes": "1000000",
    "sys/memory/memory.limit_in_bytes": "9223372036854771712",
    "sys/memory/job/memory.usage_in_bytes": "700000",
    "sys/memory/job/memory.stat": "total_inactive_file 200000",
}
# Inside of a container the names are those of the host, and only the innermost group is seen.
CONTAINER = {
    "proc/cgroup": "0::/docker/0123",
    "sys/cpu.max": "150000 100000",
    "sys/cpu.stat": "usage_usec 2500000",
    "sys/memory.max": "1000000",
    "sys/memory.current": "500000",
}


@pytest.mark.parametrize("files", [CGROUP_2, CGROUP_1, CONTAINER])
def test_the_limits_of_containers_and_batch_jobs_count(
    tmp_path: Path, files: Mapping[str, str]
) -> None:
    root = write(tmp_path, files)
    group = ControlGroup(root / "proc", root / "sys")
    assert group.cpu_limit() == 1.5
    assert group.cpu_seconds() == 2.5
    assert (group.memory_limit(), group.memory_used()) == (1_000_000, 500_000)
    assert usable_memory(group) == 1_000_000
    assert usable_cpus(group) == min(2, len(os.sched_getaffinity(0)))


def test_without_limits_the_machine_counts(tmp_path: Path) -> None:
    group = ControlGroup(tmp_path / "proc", tmp_path / "sys")
    assert (group.cpu_limit(), group.cpu_seconds()) == (None, None)
    assert (group.memory_limit(), group.memory_used()) == (None, None)
    assert usable_cpus(group) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 7763\nprocessor\t: 1\n", "AMD EPYC 7763"),
        ("processor : 0\nModel : Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "ARM implementer 0x41 part 0xd0c"),
        ("nonsense", ""),
    ],
)
def test_the_processor_has_a_name(tmp_path: Path, text: str, name: str) -> None:
    assert processor_name(write(tmp_path, {"proc/cpuinfo": text})) == name


NVIDIA = {
    f"proc/driver/nvidia/gpus/0000:0{n}:00.0/information": (
        f"Model: \t\t NVIDIA A{n}\nIRQ:   4\nGPU UUID: \t GPU-{n}234-5678\n"
    )
    for n in range(3)
}


@pytest.mark.parametrize(
    ("visible", "shown"),
    [
        (None, ["NVIDIA A0", "NVIDIA A1", "NVIDIA A2"]),
        ("2,0", ["NVIDIA A0", "NVIDIA A2"]),
        ("1,-1,2", ["NVIDIA A1"]),
        ("GPU-1234", ["NVIDIA A1"]),
        ("", []),
    ],
)
def test_only_visible_devices_of_nvidia_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, shown: list[str]
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert describe_accelerators(write(tmp_path, NVIDIA)) == shown


def test_devices_of_amd_are_found(tmp_path: Path) -> None:
    card = "sys/class/drm/card0/device"
    write(
        tmp_path,
        {
            f"{card}/vendor": "0x1002\n",
            f"{card}/product_name": "Instinct MI210\n",
            f"{card}/mem_info_vram_total": str(64 * 2**30),
            "sys/class/drm/card1/device/vendor": "0x8086\n",
        },
    )
    assert describe_accelerators(tmp_path) == ["Instinct MI210, 64.0 GiB"]


@pytest.mark.parametrize(
    ("said", "recorded"),
    [(DIGEST, DIGEST), (f"registry.example.com/a/b@{DIGEST}\n", DIGEST), ("latest", "")],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_the_image_is_what_whoever_started_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, recorded: str, *, in_file: bool
) -> None:
    monkeypatch.delenv("STUDBOOK_IMAGE_DIGEST", raising=False)
    if in_file:
        (tmp_path / "digest").write_text(said)
        monkeypatch.setenv("STUDBOOK_IMAGE_DIGEST_FILE", str(tmp_path / "digest"))
    else:
        monkeypatch.setenv("STUDBOOK_IMAGE_DIGEST", said)
    assert image_digest() == recorded


def test_without_a_word_no_image_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDBOOK_IMAGE_DIGEST", raising=False)
    monkeypatch.setenv("STUDBOOK_IMAGE_DIGEST_FILE", "/there/is/no/such/file")
    assert image_digest() == ""


def test_the_active_conda_environment_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "envs" / "training"
    private = "https://conda.example.com/t/tk-0123-secret/private/linux-64"
    records = {
        "numpy-base-2.0.1-py311_0": {"channel": "https://ada:pw@conda.example.com/main"},
        "torch-2.5-cuda": {"channel": private, "files": ["x"] * 10_000},
        "sorted-late-1-0": {"aaa": "x" * 20_000, "channel": "conda-forge"},
        "none-1-0": {"name": "none"},
    }
    write(prefix / "conda-meta", {f"{n}.json": json.dumps(r) for n, r in records.items()})
    write(prefix / "conda-meta", {"history": "", "broken.json": "{", "broken-1-0.json": "{"})
    monkeypatch.setenv("CONDA_PREFIX", str(prefix))

    seen = observe_conda()

    assert seen == CondaEnvironment(
        name="training",
        packages={
            "broken": "1=0",
            "none": "1=0",
            "numpy-base": "2.0.1=py311_0",
            "sorted-late": "1=0",
            "torch": "2.5=cuda",
        },
        channels=[
            "conda-forge",
            "https://conda.example.com/main",
            "https://conda.example.com/private/linux-64",
        ],
    )
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "by-name")
    seen = observe_conda()
    assert seen is not None
    assert seen.name == "by-name"


def test_without_conda_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "gone"))
    assert observe_conda() is None
