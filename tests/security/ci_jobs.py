"""What the tokens of CI systems say: the claims of a release job of each, as they issue them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHA = "c9a5b1f3d4e6f708192a3b4c5d6e7f8091a2b3c4"
_WORKFLOW = "acme/wine-cultivar/.github/workflows/release.yml"
_RELEASE = f"{_WORKFLOW}@refs/heads/main"

GITHUB: Mapping[str, Any] = MappingProxyType(
    {
        "sub": "repo:acme@19001/wine-cultivar@730114502:environment:production",
        "actor": "grace", "actor_id": "9912", "base_ref": "", "check_run_id": "51234567890",
        "enterprise": "acme-corp", "enterprise_id": "77", "environment": "production",
        "environment_node_id": "EN_kwDOABC", "event_name": "push", "head_ref": "",
        "job_workflow_ref": _RELEASE, "job_workflow_sha": _SHA, "ref": "refs/heads/main",
        "ref_protected": "true", "ref_type": "branch", "repository": "acme/wine-cultivar",
        "repository_id": "730114502", "repository_owner": "acme", "repository_owner_id": "19001",
        "repository_visibility": "private", "run_attempt": "1", "run_id": "18234567890",
        "run_number": "412", "runner_environment": "github-hosted", "sha": _SHA,
        "workflow": "release", "workflow_ref": _RELEASE, "workflow_sha": _SHA,
    }
)  # fmt: skip
GITLAB: Mapping[str, Any] = MappingProxyType(
    {
        "sub": "project_path:acme/wine-cultivar:ref_type:branch:ref:main",
        "namespace_id": "310", "namespace_path": "acme", "project_id": "51822",
        "project_path": "acme/wine-cultivar", "user_id": "91", "user_login": "grace",
        "user_email": "grace@acme.example", "user_access_level": "maintainer",
        "user_identities": [], "pipeline_id": "100200", "pipeline_source": "push",
        "job_id": "900100", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main",
        "ref_protected": "true", "environment": "production", "environment_protected": "true",
        "deployment_tier": "production", "deployment_action": "start", "runner_id": 12,
        "runner_environment": "gitlab-hosted", "sha": _SHA, "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.example/acme/wine-cultivar//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": _SHA,
    }
)  # fmt: skip
BUILDKITE: Mapping[str, Any] = MappingProxyType(
    {
        "sub": f"organization:acme:pipeline:wine:ref:refs/heads/main:commit:{_SHA}:step:promote",
        "organization_slug": "acme", "pipeline_slug": "wine", "build_number": 81,
        "organization_id": "0184990a-477b-4fa8-9968-496074483cee",
        "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "build_branch": "main", "build_tag": "", "build_commit": _SHA,
        "build_source": "webhook", "step_key": "promote",
        "job_id": "0184990a-477b-4fa8-9968-496074483c01",
        "agent_id": "0184990a-4782-42b5-afc1-16715b10b8ee", "runner_environment": "self-hosted",
    }
)  # fmt: skip
_CIRCLE = "oidc.circleci.com/"
CIRCLECI: Mapping[str, Any] = MappingProxyType(
    {
        "sub": "org/5ad2c6f1-4f6b-4c3c-8f5d-1a5b57a7d111/project/"
        "2b3c4d5e-6f70-4811-9223-3445566778a9/user/1f0a5a5c-7f0d-4b6d-8f6f-8e0a2b1c9d22",
        f"{_CIRCLE}project-id": "2b3c4d5e-6f70-4811-9223-3445566778a9",
        f"{_CIRCLE}context-ids": ["4d0c2f1e-0a5c-4f0e-9b4c-5a1b2c3d4e5f"],
        f"{_CIRCLE}job-id": "2b1c0d9e-8f7a-4b6c-8d5e-4f3a2b1c0d9e",
        f"{_CIRCLE}pipeline-id": "7c6b5a49-3827-4160-9f8e-7d6c5b4a3928",
        f"{_CIRCLE}ssh-rerun": False,
        f"{_CIRCLE}vcs-origin": "github.com/acme/wine-cultivar",
        f"{_CIRCLE}vcs-ref": "refs/heads/main",
        f"{_CIRCLE}workflow-id": "8d7c6b5a-4938-4271-a0b1-c2d3e4f5a6b7",
    }
)


def account(
    namespace: str = "ml", name: str = "release", uid: str = "6d8a1c7e-2f0b-4f53-9b61-c5b3a1d9e7f2"
) -> dict[str, Any]:
    """The claim of Kubernetes that says whose pod it is."""
    return {
        "namespace": namespace,
        "node": {"name": "node-3", "uid": "5a1d1c38-5c2f-4d3c-8b0e-9f0e1d2c3b4a"},
        "pod": {"name": "release-7f9c", "uid": "f0f3c1de-1f2e-4d3c-9b8a-7c6d5e4f3a2b"},
        "serviceaccount": {"name": name, "uid": uid},
    }


CLUSTER: Mapping[str, Any] = MappingProxyType(
    {"sub": "system:serviceaccount:ml:release", "kubernetes.io": account()}
)
JOBS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "github": GITHUB,
        "gitlab": GITLAB,
        "buildkite": BUILDKITE,
        "circleci": CIRCLECI,
        "cluster": CLUSTER,
    }
)


def workflow(name: str, ref: str = "refs/heads/main") -> str:
    """A reference to a workflow file at GitHub."""
    return f"{name}@{ref}"
