"""The documented set-ups for CI systems load, and their workflows call what there is."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from gateway.access_rules import load_rules
from studbook.cli.__main__ import COMMANDS
from studbook.job_tokens import KUBERNETES_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ci-pipelines.md").read_text()
WORKFLOWS = sorted((ROOT / "examples" / "ci").iterdir())
BINDINGS, *BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
AUDIENCE = "https://studbook.example.com"
ISSUED: dict[str, dict[str, Any]] = {
    "github": {
        "repository": "acme/wine-cultivar",
        "repository_id": "730114502",
        "repository_owner_id": "19001",
        "ref": "refs/heads/main",
        "event_name": "workflow_dispatch",
        "workflow_ref": "acme/wine-cultivar/.github/workflows/release.yml@refs/heads/main",
        "environment": "production",
        "head_ref": "",
        "base_ref": "",
    },
    "gitlab": {
        "project_path": "acme/wine-cultivar",
        "project_id": "51822",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "pipeline_source": "web",
        "environment": "production",
    },
    "buildkite": {
        "organization_id": "0184990a-477b-4fa8-9968-496074483cee",
        "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "build_branch": "main",
        "build_source": "ui",
        "step_key": "promote",
    },
    "circleci": {
        "oidc.circleci.com/project-id": "2b3c4d5e-6f70-4811-9223-3445566778a9",
        "oidc.circleci.com/vcs-origin": "github.com/acme/wine-cultivar",
        "oidc.circleci.com/vcs-ref": "refs/heads/main",
    },
    "cluster": {
        "kubernetes.io": {
            "namespace": "ml",
            "serviceaccount": {"name": "release", "uid": "6d8a1c7e-2f0b-4f53-9b61-c5b3a1d9e7f2"},
        }
    },
}
# What a job of somebody else, or for somebody's proposal, differs in.
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("github", {"repository_id": "1", "repository_owner_id": "1"}),
    ("github", {"environment": "staging"}),
    ("github", {"event_name": "pull_request_target"}),
    ("github", {"workflow_ref": "acme/wine-cultivar/.github/workflows/x.yml@refs/heads/main"}),
    ("gitlab", {"project_id": "1"}),
    ("gitlab", {"ref_type": "tag"}),
    ("gitlab", {"ref_protected": "false"}),
    ("gitlab", {"pipeline_source": "merge_request_event"}),
    ("buildkite", {"pipeline_id": "1"}),
    ("buildkite", {"build_branch": "mallory:main"}),
    ("circleci", {"oidc.circleci.com/project-id": "1"}),
    ("circleci", {"oidc.circleci.com/vcs-ref": "refs/heads/pull/7"}),
    ("cluster", {"kubernetes.io": {"namespace": "ml", "serviceaccount": {"name": "release"}}}),
]


def block_of(issuer: str) -> str:
    (block,) = (str(block) for block in BLOCKS if f"issuer: {issuer}\n" in block)
    return f"{block}{BINDINGS}"


@pytest.mark.parametrize("issuer", ISSUED)
def test_job_of_the_documented_set_up_may_promote(issuer: str) -> None:
    rules = load_rules(block_of(issuer))
    match = rules.match_pipeline(issuer, ISSUED[issuer])
    assert match is not None
    assert match[0] == "release"
    assert rules.holdings("pipeline:release", (), 0).patterns(["models.promote"])[0]
    assert rules.file.issuers[issuer].audience == AUDIENCE


@pytest.mark.parametrize(("issuer", "difference"), OTHERS)
def test_other_jobs_may_not(issuer: str, difference: dict[str, Any]) -> None:
    rules = load_rules(block_of(issuer))
    assert rules.match_pipeline(issuer, {**ISSUED[issuer], **difference}) is None


def texts(value: object) -> Iterator[str]:
    """Every text in a document, where commands may stand."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def calls_in(workflow: Path) -> list[list[str]]:
    documents = list(yaml.safe_load_all(workflow.read_text()))
    lines = "\n".join(texts(documents)).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.strip().startswith("studbook ")]


def check_call(words: list[str]) -> None:
    """Parse a command line as the program does, without running it."""
    module, _ = COMMANDS[words[0]]
    found = importlib.import_module(f"studbook.cli.{module}")
    app = getattr(found, "app", None)
    if app is None:
        app = typer.Typer()
        app.command()(getattr(found, words[0]))
    command, context, rest = typer.main.get_command(app), None, words[1:]
    while isinstance(command, TyperGroup):
        context = command.make_context(words[0], [], parent=context, resilient_parsing=True)
        _, inner, rest = command.resolve_command(context, rest)
        assert inner is not None, f"No such command: {rest}"
        command = inner
    command.make_context(words[0], list(rest), parent=context)


def test_there_is_one_workflow_for_each_system() -> None:
    assert [path.stem for path in WORKFLOWS] == [
        "buildkite", "circleci", "github-actions", "gitlab-ci", "kubernetes",
    ]  # fmt: skip


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_calls_what_there_is(workflow: Path) -> None:
    calls = calls_in(workflow)
    assert [call[:2] for call in calls if call[0] == "model"][-1] == ["model", "promote"]
    for call in calls:
        check_call(call)


@pytest.mark.parametrize("call", [["model", "promot"], ["model", "promote", "a@1.0.0", "--too"]])
def test_what_there_is_not_is_noticed(call: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such (command|option)"):
        check_call(call)


def test_workflows_ask_for_the_documented_audience() -> None:
    (gitlab,) = yaml.safe_load_all((ROOT / "examples/ci/gitlab-ci.yml").read_text())
    assert gitlab["promote"]["id_tokens"] == {"STUDBOOK_ID_TOKEN": {"aud": AUDIENCE}}

    _, job = yaml.safe_load_all((ROOT / "examples/ci/kubernetes.yml").read_text())
    pod = job["spec"]["template"]["spec"]
    (volume,), (mount,) = pod["volumes"], pod["containers"][0]["volumeMounts"]
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == AUDIENCE
    assert Path(mount["mountPath"]) / token["path"] == KUBERNETES_TOKEN
