"""Tokens for pipeline jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.dev_issuer.login_attempt import verified

if TYPE_CHECKING:
    import httpx

    from tests.unit.conftest import ServedIssuer

JOB = {
    "repository": "acme/wine-cultivar",
    "ref": "refs/heads/main",
    "environment": "production",
    "sha": "0123456789abcdef0123456789abcdef01234567",
    "run_id": "991",
    "audience": "studbook",
}


def ask(http: httpx.Client, issuer: ServedIssuer, **changes: Any) -> httpx.Response:
    job = {key: value for key, value in {**JOB, **changes}.items() if value is not None}
    return http.post("/ci/token", json=job, auth=("ci", issuer.ci_secret))


def test_claims_describe_the_job(http: httpx.Client, issuer: ServedIssuer) -> None:
    token = verified(http, "ci", ask(http, issuer).json()["value"])

    assert token.header["typ"] == "JWT"
    expected = {
        "iss": issuer.ci_url,
        "aud": "studbook",
        "sub": "repo:acme@4711/wine-cultivar@730112:environment:production",
        "repository": "acme/wine-cultivar",
        "repository_id": "730112",
        "repository_owner": "acme",
        "repository_owner_id": "4711",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "environment": "production",
        "sha": JOB["sha"],
        "workflow_ref": "acme/wine-cultivar/.github/workflows/release.yml@refs/heads/main",
        "run_id": "991",
        "run_attempt": "1",
        "event_name": "push",
    }
    assert expected.items() <= token.claims.items()
    assert token.claims["exp"] - token.claims["iat"] == 300


def test_every_token_has_an_id_of_its_own(http: httpx.Client, issuer: ServedIssuer) -> None:
    ids = {verified(http, "ci", ask(http, issuer).json()["value"]).claims["jti"] for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize(
    ("changes", "subject", "ref_type"),
    [
        ({"environment": None}, "ref:refs/heads/main", "branch"),
        ({"environment": None, "ref": "refs/tags/v1"}, "ref:refs/tags/v1", "tag"),
        (
            {"environment": None, "event_name": "pull_request", "ref": "refs/pull/7/merge"},
            "pull_request",
            "branch",
        ),
    ],
)
def test_subject_without_environment(
    http: httpx.Client,
    issuer: ServedIssuer,
    changes: dict[str, str | None],
    subject: str,
    ref_type: str,
) -> None:
    claims = verified(http, "ci", ask(http, issuer, **changes).json()["value"]).claims

    assert claims["sub"] == f"repo:acme@4711/wine-cultivar@730112:{subject}"
    assert claims["ref_type"] == ref_type
    assert "environment" not in claims


def test_default_audience_is_not_ours(http: httpx.Client, issuer: ServedIssuer) -> None:
    claims = verified(http, "ci", ask(http, issuer, audience=None).json()["value"]).claims

    assert claims["aud"] == f"{issuer.ci_url}/acme"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"repository": "acme/other"}, "acme/other"),
        ({"environment": "staging"}, "staging"),
        ({"repository_id": "1"}, "repository_id"),
        ({"ref": "main"}, "ref"),
        ({"sha": "abc"}, "sha"),
        ({"run_id": "x"}, "run_id"),
        ({"sha": None}, "sha"),
        ({"workflow": "a b"}, "workflow"),
    ],
)
def test_refused_jobs_name_what_is_wrong(
    http: httpx.Client, issuer: ServedIssuer, changes: dict[str, str | None], named: str
) -> None:
    answer = ask(http, issuer, **changes)

    assert answer.status_code == 400
    assert named in answer.json()["error_description"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 60_000])
def test_body_must_be_a_job(http: httpx.Client, issuer: ServedIssuer, body: bytes) -> None:
    answer = http.post("/ci/token", content=body, auth=("ci", issuer.ci_secret))

    assert answer.status_code == 400


@pytest.mark.parametrize("auth", [("ci", "wrong"), ("nobody", "ci-secret"), ("", "")])
def test_only_known_agents_get_tokens(http: httpx.Client, auth: tuple[str, str]) -> None:
    assert http.post("/ci/token", json=JOB, auth=auth).status_code == 401


def test_the_two_lanes_have_different_keys(http: httpx.Client) -> None:
    people, ci = (http.get(f"/{lane}/jwks").json()["keys"][0] for lane in ("people", "ci"))

    assert people["kid"] != ci["kid"]
