"""The access rules of the castle: what a careful administrator would write."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import yaml

from gateway.access_file import Algorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

AUDIENCE = "https://studbook.example"
CLIENTS = ["studbook-cli", "serving"]
CI_SYSTEMS = ("github", "gitlab", "buildkite", "circleci", "cluster")
# Issuers whose keys cannot be had, or are not what they should be.
BROKEN = (
    "down", "slow", "huge", "html", "elsewhere", "moved", "twins", "weak", "private", "symmetric",
    "foreign", "encryption",
)  # fmt: skip
# One that may sign with every algorithm there is.
MODERN = "modern"
ISSUERS = ("corp", *CI_SYSTEMS, *BROKEN, MODERN)

PIPELINES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "github": {
            "repository": "acme/wine-cultivar",
            "repository_id": "730114502",
            "repository_owner_id": "19001",
            "ref": ["refs/heads/main", "refs/tags/v*"],
            "environment": "production",
            "workflow_ref": [
                "acme/wine-cultivar/.github/workflows/release.yml@refs/heads/main",
                "acme/wine-cultivar/.github/workflows/release.yml@refs/tags/v*",
            ],
        },
        "gitlab": {
            "project_path": "acme/wine-cultivar",
            "project_id": "51822",
            "ref": "main",
            "ref_type": "branch",
            "ref_protected": "true",
            "environment": "production",
        },
        "buildkite": {
            "organization_id": "0184990a-477b-4fa8-9968-496074483cee",
            "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
            "build_branch": "main",
            "step_key": "promote",
        },
        "circleci": {
            "oidc.circleci.com/project-id": "2b3c4d5e-6f70-4811-9223-3445566778a9",
            "oidc.circleci.com/vcs-origin": "github.com/acme/wine-cultivar",
            "oidc.circleci.com/vcs-ref": "refs/heads/main",
        },
        "cluster": {
            "kubernetes.io/namespace": "ml",
            "kubernetes.io/serviceaccount/name": "release",
            "kubernetes.io/serviceaccount/uid": "6d8a1c7e-2f0b-4f53-9b61-c5b3a1d9e7f2",
        },
    }
)


def _issuer(name: str, url: str) -> dict[str, Any]:
    if name not in CI_SYSTEMS:
        people = {"url": url, "kind": "people", "audience": AUDIENCE}
        if name == MODERN:
            return people | {"algorithms": list(get_args(Algorithm))}
        clients = {"service_accounts": [{"client_id": "serving"}], "allowed_clients": CLIENTS}
        return people | (clients if name == "corp" else {})
    types = {"token_types": ["none"]} if name == "cluster" else {}
    return {"url": url, "kind": "pipelines", "audience": AUDIENCE, "exchange": "required"} | types


def access_rules(urls: Mapping[str, str]) -> str:
    """The text of `access.yaml` for issuers at these URLs."""
    bindings = [
        ("trainer", ["group:corp:data-science"], ["workspaces/main/**"]),
        ("viewer", ["group:corp:viewers"], ["workspaces/main/**"]),
        ("viewer", [f"user:{MODERN}:ada"], ["workspaces/main/**"]),
        ("viewer", ["user:corp:rosa"], ["workspaces/main/models/wine-*/**"]),
        ("releaser", ["group:corp:release-managers"], ["workspaces/main/models/**"]),
        ("deployer", ["service:corp:serving"], ["workspaces/main/models/**"]),
        ("admin", ["group:corp:administrators"], ["workspaces/main/**", "workspaces/other/**"]),
        (
            "releaser",
            [f"pipeline:release-{system}" for system in CI_SYSTEMS],
            ["workspaces/main/models/wine-cultivar/**"],
        ),
    ]
    return yaml.safe_dump(
        {
            "version": 1,
            "issuers": {name: _issuer(name, url) for name, url in urls.items()},
            "pipelines": {
                f"release-{system}": {"issuer": system, "claims": claims}
                for system, claims in PIPELINES.items()
            },
            "bindings": [
                {"role": role, "members": members, "resources": resources}
                for role, members, resources in bindings
            ],
        },
        allow_unicode=True,
    )
