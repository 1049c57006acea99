"""CI jobs that are like the one that may promote, and are not it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from studbook.registry.v1 import model_service_pb2, model_service_pb2_grpc
from tests.security.castle import bearer, outcome
from tests.security.ci_jobs import JOBS, account
from tests.security.story import SECRET, WINE

if TYPE_CHECKING:
    from tests.security.castle import Castle, Outcome

UNKNOWN = ("UNAUTHENTICATED", "PIPELINE_UNKNOWN")
INVALID = ("UNAUTHENTICATED", "TOKEN_INVALID")
_RELEASE = "acme/wine-cultivar/.github/workflows/release.yml"
_CIRCLE = "oidc.circleci.com/"

# By CI system, what is different about the job.
OTHER_JOBS: dict[str, dict[str, dict[str, Any]]] = {
    "github": {
        "a fork's pull request": {
            "ref": "refs/pull/7/merge", "event_name": "pull_request", "head_ref": "evil",
            "base_ref": "main",
        },
        "pull_request_target": {"event_name": "pull_request_target"},
        "pull request that says it is a push": {"head_ref": "evil", "base_ref": "main"},
        "pull request review": {"event_name": "pull_request_review"},
        "the fork": {
            "repository": "evil/wine-cultivar", "repository_id": "999", "repository_owner": "evil",
            "repository_owner_id": "666",
        },
        "same name, re-registered repository": {"repository_id": "999"},
        "same name, re-registered owner": {"repository_owner_id": "666"},
        "renamed repository": {"repository": "acme/wine-2"},
        "name in capitals": {"repository": "ACME/wine-cultivar"},
        "name with a homoglyph": {"repository": "acm\u0435/wine-cultivar"},
        "name that begins alike": {"repository": "acme/wine-cultivar-evil"},
        "name that ends alike": {"repository": "evil-acme/wine-cultivar"},
        "id that begins alike": {"repository_id": "7301145020"},
        "id as a number with a fraction": {"repository_id": 730114502.0},
        "id in a list": {"repository_id": ["730114502"]},
        "id with a space": {"repository_id": "730114502 "},
        "id with a full-width digit": {"repository_id": "73011450\uff12"},
        "no id": {"repository_id": None},
        "no owner's id": {"repository_owner_id": None},
        "another environment": {"environment": "staging"},
        "environment in capitals": {"environment": "Production"},
        "environment that begins alike": {"environment": "production-eu"},
        "no environment": {"environment": None},
        "empty environment": {"environment": ""},
        "another branch": {"ref": "refs/heads/dev"},
        "branch that ends alike": {"ref": "refs/heads/evil/main"},
        "branch that begins alike": {"ref": "refs/heads/main-2"},
        "branch named like a tag": {"ref": "refs/heads/refs/tags/v1"},
        "branch named v1": {"ref": "refs/heads/v1"},
        "tag named like the branch": {"ref": "refs/tags/main", "ref_type": "tag"},
        "tag with a path": {"ref": "refs/tags/v1/evil", "ref_type": "tag"},
        "short ref": {"ref": "main"},
        "ref that is the pattern": {"ref": "refs/tags/*"},
        "ref with a line end": {"ref": "refs/heads/main\n"},
        "another workflow": {
            "workflow_ref": "acme/wine-cultivar/.github/workflows/test.yml@refs/heads/main"
        },
        "workflow of another branch": {"workflow_ref": f"{_RELEASE}@refs/heads/evil"},
        "workflow of another repository": {
            "workflow_ref": "evil/x/.github/workflows/release.yml@refs/heads/main"
        },
        "workflow called by another's": {
            "workflow_ref": "evil/x/.github/workflows/call.yml@refs/heads/main",
            "job_workflow_ref": f"{_RELEASE}@refs/heads/main",
        },
        "workflow at a commit": {"workflow_ref": f"{_RELEASE}@{'a' * 40}"},
    },
    "gitlab": {
        "a fork's merge request": {"pipeline_source": "merge_request_event"},
        "a merge request by its ref": {"ref_path": "refs/merge-requests/7/head"},
        "external pull request": {"pipeline_source": "external_pull_request_event"},
        "the fork": {"project_id": "666", "project_path": "evil/wine-cultivar"},
        "same path, another project": {"project_id": "666"},
        "project's id as text in a list": {"project_id": ["51822"]},
        "moved project": {"project_path": "evil/wine-cultivar"},
        "unprotected branch": {"ref_protected": "false"},
        "protection not said": {"ref_protected": None},
        "protection in capitals": {"ref_protected": "True"},
        "another branch": {"ref": "main-2"},
        "tag named like the branch": {"ref_type": "tag"},
        "another environment": {"environment": "staging"},
    },
    "buildkite": {
        "a fork's branch": {"build_branch": "evil:main"},
        "another branch": {"build_branch": "dev"},
        "another pipeline": {"pipeline_id": "0184990a-4782-42b5-afc1-000000000000"},
        "another organisation": {"organization_id": "0184990a-4782-42b5-afc1-000000000000"},
        "another step": {"step_key": "test"},
        "no step": {"step_key": None},
        "id in capitals": {"pipeline_id": "0184990A-4782-42B5-AFC1-16715B10B8FF"},
    },
    "circleci": {
        "a fork's pull request": {f"{_CIRCLE}vcs-ref": "refs/pull/7/head"},
        "a fork's branch": {f"{_CIRCLE}vcs-ref": "refs/heads/pull/7"},
        "another branch": {f"{_CIRCLE}vcs-ref": "refs/heads/dev"},
        "another project": {f"{_CIRCLE}project-id": "2b3c4d5e-6f70-4811-9223-000000000000"},
        "another repository": {f"{_CIRCLE}vcs-origin": "github.com/evil/wine-cultivar"},
        "claims in an object": {
            f"{_CIRCLE}vcs-ref": None, "oidc.circleci.com": {"vcs-ref": "refs/heads/dev"},
        },
    },
    "cluster": {
        "another namespace": {"kubernetes.io": account(namespace="default")},
        "another account": {"kubernetes.io": account(name="default")},
        "account made anew": {"kubernetes.io": account(uid="00000000-0000-0000-0000-000000000000")},
        "no account": {"kubernetes.io": {"namespace": "ml"}},
        "claims that are no object": {"kubernetes.io": "ml"},
        "sub alone": {"kubernetes.io": None},
        "claims by paths": {
            "kubernetes.io": None, "kubernetes.io/namespace": "ml",
            "kubernetes.io/serviceaccount/name": "release",
        },
    },
}  # fmt: skip
CASES = [(system, name) for system, jobs in OTHER_JOBS.items() for name in jobs]


def present(castle: Castle, system: str, **changes: Any) -> str:
    """Have a job's token taken for what it is; the token that the job goes on with."""
    return castle.exchange(castle.job(system, dict(JOBS[system]), **changes))


@pytest.mark.parametrize(("system", "name"), CASES)
def test_another_job(castle: Castle, system: str, name: str) -> None:
    changes = OTHER_JOBS[system][name]
    assert outcome(lambda: present(castle, system, **changes)) == UNKNOWN
    token = castle.job(system, dict(JOBS[system]), **changes)
    assert outcome(lambda: castle.promote(token)) == UNKNOWN


@pytest.mark.parametrize("system", JOBS)
def test_the_job_itself_gets_in(castle: Castle, system: str) -> None:
    token = present(castle, system)
    assert outcome(lambda: castle.list_models(bearer(token), parent="workspaces/other")) == (
        "PERMISSION_DENIED",
        "PERMISSION_MISSING",
    )
    assert outcome(lambda: castle.promote(token, f"{SECRET}/versions/1.0.0")) == (
        "PERMISSION_DENIED",
        "PERMISSION_MISSING",
    )


NOW = int(time.time())
TOKENS: dict[str, tuple[dict[str, Any], Outcome]] = {
    "of a job that is over": (
        {"iat": NOW - 900, "exp": NOW - 600}, ("UNAUTHENTICATED", "TOKEN_EXPIRED")
    ),
    "good for a day": ({"exp": NOW + 86_400}, INVALID),
    "for the owner, as GitHub makes them": (
        {"aud": "https://github.com/acme"}, ("UNAUTHENTICATED", "AUDIENCE_MISMATCH")
    ),
    "for a cloud": ({"aud": "sts.amazonaws.com"}, ("UNAUTHENTICATED", "AUDIENCE_MISMATCH")),
    "for us and a cloud": (
        {"aud": ["https://studbook.example", "sts.amazonaws.com"]},
        ("UNAUTHENTICATED", "AUDIENCE_MISMATCH"),
    ),
    "without a sub": ({"sub": None}, INVALID),
    "of another instance": (
        {"iss": "https://token.actions.githubusercontent.com"},
        ("UNAUTHENTICATED", "ISSUER_UNKNOWN"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_token(castle: Castle, name: str) -> None:
    changes, expected = TOKENS[name]
    assert outcome(lambda: present(castle, "github", **changes)) == expected


@pytest.mark.parametrize("issuer", ["gitlab", "buildkite", "circleci"])
def test_claims_of_one_system_from_another(castle: Castle, issuer: str) -> None:
    token = castle.job(issuer, dict(JOBS["github"]))
    assert outcome(lambda: castle.exchange(token)) == UNKNOWN


def test_claims_of_a_job_from_a_provider_for_people(castle: Castle) -> None:
    """Somebody who may choose claims at the people's provider is a person all the same."""
    claims: dict[str, Any] = {**JOBS["github"], "groups": []}
    token = castle.issuers["corp"].token(**claims)
    assert outcome(lambda: castle.exchange(token)) == (
        "FAILED_PRECONDITION",
        "TOKEN_NOT_EXCHANGEABLE",
    )
    assert outcome(lambda: castle.promote(token)) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


def test_token_that_was_not_exchanged(castle: Castle) -> None:
    token = castle.job("github", dict(JOBS["github"]))
    assert outcome(lambda: castle.promote(token)) == ("UNAUTHENTICATED", "TOKEN_NOT_EXCHANGED")


def test_token_exchanged_at_once_by_many(castle: Castle) -> None:
    token = castle.job("github", dict(JOBS["github"]))
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: outcome(lambda: castle.exchange(token)), range(16)))
    assert told.count(("OK", "")) == 1
    assert told.count(("UNAUTHENTICATED", "TOKEN_SPENT")) == 15


def test_token_exchanged_for_another_model(castle: Castle) -> None:
    token = castle.job("github", dict(JOBS["github"]))
    for pattern in (f"{SECRET}/**", "**", "workspaces/main/**", "workspaces/*/models/**"):
        told = outcome(lambda pattern=pattern: castle.exchange(token, pattern))  # type: ignore[misc] # told apart by the default
        assert told == ("INVALID_ARGUMENT", "FIELD_INVALID")
    narrowed = castle.exchange(token, f"{WINE}/versions/9.9.9")
    assert outcome(lambda: castle.promote(narrowed)) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


def test_token_exchanged_for_a_pattern_that_would_take_hours(castle: Castle) -> None:
    token = castle.job("github", dict(JOBS["github"]))
    narrowed = castle.exchange(token, f"{WINE}/versions/{'*1' * 40}b")
    stub = model_service_pb2_grpc.ModelServiceStub(castle.channel)
    request = model_service_pb2.GetVersionRequest(name=f"{WINE}/versions/{'1' * 128}")
    told = outcome(lambda: stub.GetVersion(request, metadata=(bearer(narrowed),), timeout=5))
    assert told == ("PERMISSION_DENIED", "PERMISSION_MISSING")


@pytest.mark.parametrize("length", [1025, 100_000, 3_000_000])
def test_token_exchanged_for_an_endless_pattern(castle: Castle, length: int) -> None:
    token = castle.job("github", dict(JOBS["github"]))
    told = outcome(lambda: castle.exchange(token, f"{WINE}/versions/{'1' * length}"))
    assert told == ("INVALID_ARGUMENT", "RESOURCE_NAME_INVALID")


def test_exchanged_token_is_not_exchanged_for_a_longer_one(castle: Castle) -> None:
    token = present(castle, "github")
    assert outcome(lambda: castle.exchange(token)) == (
        "FAILED_PRECONDITION",
        "TOKEN_NOT_EXCHANGEABLE",
    )
