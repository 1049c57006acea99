"""Importing the SDK is light, and it never brings a server part along."""

from __future__ import annotations

import subprocess
import sys

import pytest

import studbook

SERVERS = {"service_chassis", "tracking_service", "registry_service", "gateway", "local_stack"}
HEAVY = {"grpc", "google", "numpy", "pandas", "sklearn", "matplotlib", "httpx", "authlib", "rich"}

_OFFLINE_RUN = """
import os, tempfile
os.environ.update(STUDBOOK_DIR=tempfile.mkdtemp(), STUDBOOK_MODE="offline")
import studbook
with studbook.init("wine", config={"lr": 1}) as run:
    run.log({"x": 1})
    run.use_dataset(b"1", name="d")
    run.log_artifact(os.__file__)
"""


def loaded_after(program: str) -> set[str]:
    """Top-level names of the modules that a program has loaded when it ends."""
    names = "{m.partition('.')[0] for m in sys.modules}"
    listing = f"{program}\nimport sys\nprint(*{names})"
    answer = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


def test_import_loads_next_to_nothing() -> None:
    added = loaded_after("import studbook") - loaded_after("")
    assert added - set(sys.stdlib_module_names) == {"studbook"}
    # Each of these takes as long to import as Studbook is allowed to.
    assert not added & {"asyncio", "inspect", "logging", "subprocess", "json", "urllib", "email"}


@pytest.mark.parametrize(
    "program",
    [
        "import studbook; studbook.init",
        _OFFLINE_RUN,
    ],
)
def test_an_offline_run_needs_neither_grpc_nor_numpy(program: str) -> None:
    assert not loaded_after(program) & (HEAVY | SERVERS)


@pytest.mark.parametrize(
    "module",
    [
        "studbook.client",
        "studbook.model_registry",
        "studbook.artifact_transfer",
        "studbook.sync",
        "studbook.shipper",
        "studbook.datasets",
        "studbook.credentials",
    ],
)
def test_no_part_of_the_sdk_imports_a_server(module: str) -> None:
    assert not loaded_after(f"import {module}") & SERVERS


def test_every_public_name_is_there() -> None:
    for name in studbook.__all__:
        assert getattr(studbook, name) is not None
    assert dir(studbook) == sorted(studbook.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        studbook.nothing  # noqa: B018 - the access is what is tested
