"""A job finds the token of its CI system with no configuration beyond the address."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from studbook import job_tokens
from studbook.credentials import default_token_source
from studbook.exceptions import Unauthenticated, Unavailable
from studbook.identity.v1.identity_service_pb2 import JobTokenIssuer
from studbook.stored_logins import Login, StoredLogins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.identity_server import Identity

AUDIENCE = "https://studbook.example.com"
ISSUERS = {
    "github": "https://token.actions.githubusercontent.com",
    "buildkite": "https://agent.buildkite.com",
    "circleci": "https://oidc.circleci.com/org/2b3c4d5e-6f70-4811-9223-3445566778a9",
}
SECRET = "secret-of-the-runner"


def token_until(expiry: float, **claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": expiry, **claims}).encode()).decode()
    return f"e30.{body.rstrip('=')}.c2ln"


@dataclass
class GitHub:
    """The endpoint that a runner's job asks for tokens."""

    url: str = ""
    status: int = 200
    body: bytes | None = None
    lifetime_s: float = 300.0
    asked: list[tuple[dict[str, list[str]], str | None]] = field(default_factory=list)

    def answer(self) -> bytes:
        token = token_until(time.time() + self.lifetime_s, number=len(self.asked))
        return json.dumps({"value": token}).encode() if self.body is None else self.body


@pytest.fixture
def github(logins: StoredLogins, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """A job of GitHub's, and nothing of whoever runs the test."""
    state = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((parse_qs(urlsplit(self.path).query), self.headers["Authorization"]))
            body = state.answer()
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/token?api-version=2.0"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", state.url)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET)
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _job_without_kubernetes(
    logins: StoredLogins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_tokens, "KUBERNETES_TOKEN", tmp_path / "projected")


def announce(identity: Identity, *systems: str, audience: str = AUDIENCE) -> None:
    identity.job_token_issuers = [
        JobTokenIssuer(name=name, issuer=ISSUERS[name], audience=audience) for name in systems
    ]


class TestGitHub:
    def test_token_is_asked_for_with_the_announced_audience(
        self, github: GitHub, identity: Identity, address: str
    ) -> None:
        announce(identity, "circleci", "github")
        source = default_token_source(address)

        token = source.token()

        assert token is not None
        assert source.token() == token
        query = {"api-version": ["2.0"], "audience": [AUDIENCE]}
        assert github.asked == [(query, f"Bearer {SECRET}")]

    def test_it_is_asked_for_again_before_it_expires(
        self, github: GitHub, identity: Identity, address: str
    ) -> None:
        announce(identity, "github")
        github.lifetime_s = 30
        source = default_token_source(address)

        assert source.token() != source.token()

    def test_a_token_outlives_an_outage(
        self, github: GitHub, identity: Identity, address: str
    ) -> None:
        announce(identity, "github")
        github.lifetime_s = 30
        source = default_token_source(address)
        token = source.token()
        github.status = 503

        assert source.token() == token

    def test_an_enterprise_has_an_issuer_of_its_own(
        self,
        github: GitHub,
        identity: Identity,
        address: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("GITHUB_SERVER_URL", "https://code.example.com")
        identity.job_token_issuers = [
            JobTokenIssuer(
                name="code", issuer="https://code.example.com/_services/token", audience="ours"
            )
        ]

        assert default_token_source(address).token()
        assert github.asked[0][0]["audience"] == ["ours"]

    def test_server_that_takes_no_such_tokens_gets_the_stored_login(
        self, github: GitHub, identity: Identity, address: str, logins: StoredLogins
    ) -> None:
        announce(identity, "buildkite")
        with logins.locked():
            logins.save(address, Login("of-a-person"))

        assert default_token_source(address).token() == "of-a-person"
        assert github.asked == []

    @pytest.mark.parametrize("audience", ["sts.amazonaws.com", "https://github.com/acme", "pypi"])
    def test_no_token_for_another_service_is_made(
        self, github: GitHub, identity: Identity, address: str, audience: str
    ) -> None:
        announce(identity, "github", audience=audience)

        with pytest.raises(Unauthenticated, match="another service") as caught:
            default_token_source(address).token()
        assert caught.value.reason == "AUDIENCE_MISMATCH"
        assert github.asked == []

    @pytest.mark.parametrize(
        ("status", "body"),
        [(403, b"{}"), (404, b""), (200, b"<html>"), (200, b'{"other": 1}'), (200, b"[]")],
    )
    def test_refusal_is_said_without_secrets(
        self, github: GitHub, identity: Identity, address: str, status: int, body: bytes
    ) -> None:
        announce(identity, "github")
        github.status, github.body = status, body

        with pytest.raises(
            Unauthenticated, match=f"GitHub gave this job no token.*{status}"
        ) as bad:
            default_token_source(address).token()
        assert SECRET not in f"{bad.value} {bad.value.__cause__} {bad.value.next_step}"

    def test_outage_is_told_from_refusal(
        self, github: GitHub, identity: Identity, address: str
    ) -> None:
        announce(identity, "github")
        github.status = 503

        with pytest.raises(Unavailable, match="503"):
            default_token_source(address).token()

    def test_a_given_token_goes_first(
        self, github: GitHub, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUDBOOK_TOKEN", "given")

        assert default_token_source(address).token() == "given"
        assert github.asked == []


COMMANDS = {
    "BUILDKITE": ("buildkite-agent", ["oidc", "request-token", "--audience", AUDIENCE]),
    "CIRCLECI": ("circleci", ["run", "oidc", "get", "--claims", json.dumps({"aud": AUDIENCE})]),
}


class TestCommands:
    """Buildkite and CircleCI have a command for it on their machines."""

    @pytest.fixture(params=sorted(COMMANDS))
    def system(
        self, request: pytest.FixtureRequest, identity: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> str:
        announce(identity, "buildkite", "circleci")
        monkeypatch.setenv(request.param, "true")
        return str(request.param)

    def install(self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> None:
        program = folder / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def test_command_makes_the_token(
        self, system: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name, arguments = COMMANDS[system]
        token = token_until(time.time() + 300)
        self.install(tmp_path, monkeypatch, name, f"echo {token}")

        assert default_token_source(address).token() == token
        assert (tmp_path / "arguments").read_text().splitlines() == arguments

    def test_what_the_command_says_is_told(
        self, system: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, monkeypatch, COMMANDS[system][0], "echo not allowed >&2; exit 3")

        with pytest.raises(Unauthenticated, match="gave this job no token: not allowed"):
            default_token_source(address).token()

    def test_missing_command_is_named(
        self, system: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(Unauthenticated, match=f"{COMMANDS[system][0]} cannot be run"):
            default_token_source(address).token()


def test_gitlab_gives_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_ID_TOKEN", "of-the-job")

    assert default_token_source("one:1").token() == "of-the-job"


def test_kubernetes_renews_a_file(tmp_path: Path) -> None:
    (tmp_path / "projected").write_text("first\n")
    source = default_token_source("one:1")

    assert source.token() == "first"
    (tmp_path / "projected").write_text("second\n")
    assert source.token() == "second"


@pytest.mark.parametrize(
    ("variable", "lacking"), [("GITHUB_ACTIONS", "id-token: write"), ("GITLAB_CI", "id_tokens")]
)
def test_job_without_a_token_learns_what_its_workflow_lacks(
    monkeypatch: pytest.MonkeyPatch, variable: str, lacking: str
) -> None:
    assert "studbook login" in Unauthenticated("none", reason="TOKEN_MISSING").next_step
    monkeypatch.setenv(variable, "true")

    assert lacking in Unauthenticated("none", reason="TOKEN_MISSING").next_step
