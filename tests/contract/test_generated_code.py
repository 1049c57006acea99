"""Committed stubs are what the contracts give, and the contracts keep to their rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "failed"


def test_stubs_are_current() -> None:
    assert run(sys.executable, "scripts/generate_stubs.py", "--check") == ""


@pytest.mark.parametrize("area", ["tracking", "registry", "identity", "errors", "access"])
def test_stub_imports_nothing_of_the_servers(area: str) -> None:
    code = (
        f"import pkgutil, importlib, sys, studbook.{area}.v1 as package\n"
        "for module in pkgutil.iter_modules(package.__path__):\n"
        "    importlib.import_module(f'{package.__name__}.{module.name}')\n"
        "servers = {'sqlalchemy', 'service_chassis', 'gateway', 'studbook.client', 'numpy'}\n"
        "sys.exit(', '.join(servers & set(sys.modules)) or 0)\n"
    )
    assert run(sys.executable, "-c", code) == ""
