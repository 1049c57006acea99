"""Policies as YAML files: what they may look like, and what is said of one that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studbook.cli.policy_file import as_yaml, located, read_policy
from studbook.exceptions import FieldViolation, InvalidArgument
from studbook.registry.v1.policy_pb2 import GATE_MODE_WARN, ON_MISSING_SKIP_PRODUCTION

if TYPE_CHECKING:
    from pathlib import Path

WORKSPACE = "workspaces/main"
GOOD = """\
models: ["wine-*"]
gates:
  - id: accuracy
    expression: candidate.metrics.accuracy.last > 0.9
    mode: warn
    onMissing: skip_production
freezes:
  - startTime: 2026-12-24
    endTime: 2027-01-02 08:00:00+01:00
approvalLifetime: 172800s
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "production.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_as_people_write_it(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, GOOD), WORKSPACE)
    assert policy.name == f"{WORKSPACE}/policies/production"
    (gate,) = policy.gates
    assert (gate.mode, gate.on_missing) == (GATE_MODE_WARN, ON_MISSING_SKIP_PRODUCTION)
    assert policy.freezes[0].start_time.ToJsonString() == "2026-12-24T00:00:00Z"
    assert policy.freezes[0].end_time.ToJsonString() == "2027-01-02T07:00:00Z"
    assert policy.approval_lifetime.seconds == 172_800


def test_what_is_printed_can_be_read_again(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, GOOD), WORKSPACE)
    assert read_policy(written(tmp_path, as_yaml(policy)), WORKSPACE) == policy


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gates:", "gats:", 'line 2: PromotionPolicy has no field named "gats"'),
        ("mode: warn", "mode: warm", "line 5: "),
        ("mode: warn", "mode: warn\n    mode: warn", "line 6"),
        ('models: ["wine-*"]', "models: 7", "line 1: "),
        ("approvalLifetime: 172800s", "approvalLifetime: two days", "line 10: "),
        (GOOD, "- a\n- b", "line 1"),
        (GOOD, "{", "line 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_policy(written(tmp_path, GOOD.replace(old, new)), WORKSPACE)
    assert told in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="No such file"):
        read_policy(tmp_path / "none.yaml", WORKSPACE)


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("policy.gates[0].expression", 4),
        ("policy.gates[0].on_missing", 6),
        ("policy.freezes[0].end_time", 9),
        ("policy.approval_lifetime", 10),
        ("policy.gates[7].expression", 2),
        ("policy.break_glass.min_reason_length", 1),
        ("", 1),
    ],
)
def test_what_the_server_refuses_is_found_in_the_file(
    tmp_path: Path, field: str, line: int
) -> None:
    path = written(tmp_path, GOOD)
    violations = [FieldViolation(field, "wrong")] if field else []
    refusal = InvalidArgument("it is wrong", reason="FIELD_INVALID", field_violations=violations)
    told = located(path, refusal)
    assert told.message == f"{path}, line {line}: it is wrong"
    assert (told.reason, list(told.field_violations)) == ("FIELD_INVALID", violations)
