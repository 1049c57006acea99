"""The reasons servers give are the reasons the contract documents."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from studbook.errors.v1 import error_reason_pb2

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("service_chassis", "tracking_service", "registry_service", "gateway")
PREFIX = "ERROR_REASON_"
DOCUMENTED = {
    name.removeprefix(PREFIX) for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
}


def reasons_in_code() -> dict[str, str]:
    """Reasons that appear as an argument of an error constructor, with one file each."""
    makers = {"StudbookError", "failed_precondition", "unavailable"}
    found: dict[str, str] = {}
    for package in SERVERS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                position = {"StudbookError": 1, "failed_precondition": 0, "unavailable": 0}
                arguments: list[ast.expr] = []
                if name in makers and len(node.args) > position[name]:
                    arguments.append(node.args[position[name]])
                arguments += [k.value for k in node.keywords if k.arg == "reason"]
                for argument in arguments:
                    if isinstance(argument, ast.Constant) and str(argument.value).isupper():
                        found[str(argument.value)] = str(path.relative_to(ROOT))
    return found


@pytest.mark.parametrize(("reason", "path"), sorted(reasons_in_code().items()))
def test_reason_is_documented(reason: str, path: str) -> None:
    assert reason in DOCUMENTED, f"{path} raises {reason}"


def test_every_documented_reason_is_used() -> None:
    text = "".join(
        path.read_text() for package in SERVERS for path in (ROOT / package).rglob("*.py")
    )
    unused = {reason for reason in DOCUMENTED - {"UNSPECIFIED"} if f'"{reason}"' not in text}
    assert unused == set()
