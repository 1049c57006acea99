"""`studbook access` with access files: questions, checks and comparisons without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from service_chassis.permissions import PERMISSIONS
from studbook.cli.__main__ import run
from studbook.cli.access import PERMISSIONS_BY_VERB

if TYPE_CHECKING:
    from pathlib import Path

GITHUB = "https://token.actions.githubusercontent.com"
GOOD = f"""version: 1
issuers:
  corp: {{url: "https://a.example", kind: people, audience: x}}
  github: {{url: "{GITHUB}", kind: pipelines, audience: "https://studbook.example.com"}}
pipelines:
  release:
    issuer: github
    claims: {{repository_id: "1", repository_owner_id: "2", environment: production}}
bindings:
  - {{role: releaser, members: ["group:corp:releasers"], resources: [workspaces/main/models/**]}}
  - {{role: releaser, members: ["pipeline:release"], resources: [workspaces/main/models/wine/**]}}
"""
DENIAL = """denials:
  - members: ["group:corp:releasers"]
    permissions: [models.promote]
    resources: [workspaces/main/models/wine/**]
"""
CLAIMS = {
    "iss": GITHUB, "sub": "repo:x", "repository_id": "1", "repository_owner_id": 2,
    "environment": "production",
}  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str, name: str = "access.yaml") -> str:
        file = tmp_path / name
        file.write_text(text)
        return str(file)

    return write


ASKED = [
    (["--as", "group:corp:releasers", "promote", "wine"], GOOD, 0),
    (["--as", "group:corp:releasers", "promote", "workspaces/main/models/wine"], GOOD, 0),
    (["--as", "group:corp:releasers", "promote", "models/wine/versions/1.0.0"], GOOD, 0),
    (["--as", "group:corp:releasers", "models.delete", "wine"], GOOD, 4),
    (["--as", "group:corp:releasers", "promote", "wine"], GOOD + DENIAL, 4),
    (["--as", "group:corp:releasers", "promote", "beer"], GOOD + DENIAL, 0),
    (["--as", "user:corp:ada", "promote", "wine"], GOOD, 4),
    (["--as", "user:corp:ada", "--as", "group:corp:releasers", "promote", "wine"], GOOD, 0),
    (["--as", "pipeline:release", "promote", "wine"], GOOD, 0),
    (["--as", "pipeline:release", "promote", "beer"], GOOD, 4),
    (["--as", "pipeline:gone", "promote", "wine"], GOOD, 2),
    (["--as", "ada", "promote", "wine"], GOOD, 2),
    (["--as", "user:corp:ada", "models.fly", "wine"], GOOD, 2),
    (["--as", "user:corp:ada", "promote", "Wine!"], GOOD, 2),
    (["--as", "user:corp:ada", "promote", "wine"], GOOD + "bindigs: []", 2),
    (["promote", "wine"], GOOD, 2),
]


@pytest.mark.parametrize(("arguments", "text", "code"), ASKED)
def test_question_to_a_file(written: Any, arguments: list[str], text: str, code: int) -> None:
    assert run(["access", "test", "--file", written(text), *arguments]) == code


@pytest.mark.parametrize(
    ("claims", "code", "said"),
    [
        (CLAIMS, 0, "pipeline:release has the role releaser"),
        ({**CLAIMS, "environment": "staging"}, 2, "match no pipeline"),
        ({**CLAIMS, "iss": "https://other.example"}, 2, "https://other.example"),
        ({"iss": "https://a.example", "sub": "ada", "groups": "releasers"}, 0, "group:corp:rel"),
        ({"iss": "https://a.example", "sub": "ada"}, 4, "user:corp:ada lacks"),
        ({"iss": "https://a.example", "sub": "a", "_claim_names": {"groups": "s"}}, 2, "left them"),
        ({"iss": "https://a.example"}, 2, "no `sub`"),
        (["x"], 2, "JSON object"),
    ],
)
def test_question_for_a_token(
    written: Any, capsys: pytest.CaptureFixture[str], claims: Any, code: int, said: str
) -> None:
    file, token = written(GOOD), written(json.dumps(claims), "claims.json")
    asked = ["access", "test", "--file", file, "--claims", token, "promote", "wine"]
    assert run(asked) == code
    told = capsys.readouterr()
    assert said in told.out + told.err


def test_answer_as_json(written: Any, capsys: pytest.CaptureFixture[str]) -> None:
    who = ["--as", "group:corp:releasers"]
    run(["access", "test", "--json", "--file", written(GOOD + DENIAL), *who, "promote", "wine"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["allowed"] is False
    assert answer["denial"]["resource"] == "workspaces/main/models/wine/**"


def test_claims_are_not_sent_to_servers(written: Any) -> None:
    assert run(["access", "test", "--claims", written("{}"), "promote", "wine"]) == 2


def test_check_in_a_pull_request(written: Any, capsys: pytest.CaptureFixture[str]) -> None:
    good = written(GOOD)
    assert run(["access", "check", "--strict", good]) == 0
    assert capsys.readouterr().out == ""
    bad = written(GOOD.replace('releaser, members: ["pipeline', 'releasr, members: ["pipeline'))
    assert run(["access", "check", bad]) == 1
    line = f'{bad}:11: error: bindings[1].role: "releasr" is not a role; there are viewer'
    assert capsys.readouterr().out.startswith(line)
    assert run(["access", "check", "--json", bad]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is False
    (finding,) = report["findings"]
    assert (finding["severity"], finding["line"]) == ("error", 11)
    assert run(["access", "check", written("a: [", "broken.yaml")]) == 1
    assert "broken.yaml:1: error: file: " in capsys.readouterr().out
    assert run(["access", "check", str(good) + ".gone"]) == 2


def test_suspicious_file_can_be_used(written: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(GOOD.replace("workspaces/main/models/wine/**", "workspaces/main/models/wine"))
    assert run(["access", "check", file]) == 0
    assert f"{file}:11: warning: bindings[1].resources[0]" in capsys.readouterr().out
    assert run(["access", "check", "--strict", file]) == 1


def test_difference_of_two_files(written: Any, capsys: pytest.CaptureFixture[str]) -> None:
    old = written(GOOD, "old.yaml")
    new = written(
        GOOD.replace('role: releaser, members: ["pipeline', 'role: deployer, members: ["pipeline')
        + DENIAL
        + '  - {members: ["user:corp:max"], resources: ["**"], until: 2100-01-01T00:00:00Z}\n',
        "new.yaml",
    )
    assert run(["access", "diff", old, new]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "+ group:corp:releasers may not models.promote on workspaces/main/models/wine/**",
        (
            "- pipeline:release may datasets.read, experiments.read, models.promote, models.read, "
            "models.transition, runs.read on workspaces/main/models/wine/**"
        ),
        "+ user:corp:max may not do everything on ** until 2100-01-01T00:00:00Z",
    ]
    assert run(["access", "diff", old, old]) == 0
    assert capsys.readouterr().out == ""


def test_what_to_install_is_said(written: Any) -> None:
    without = (
        "import sys; sys.modules['structlog'] = None; from studbook.cli.__main__ import run; "
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", without, "access", "check", written(GOOD)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "takes structlog, which is not installed" in done.stderr
    assert "pip install 'studbook[server]'" in done.stderr


def test_verbs_stand_for_the_only_permission_that_ends_with_them() -> None:
    for verb, permission in PERMISSIONS_BY_VERB.items():
        assert [name for name in PERMISSIONS if name.partition(".")[2] == verb] == [permission]
