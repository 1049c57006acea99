"""The token that a CI system gives its job, found in that system's own way.

GitLab puts a token into a variable and Kubernetes into a file; GitHub, Buildkite and CircleCI make
one when they are asked, for the audience that the server announces. Importing this module loads no
HTTP library and starts nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from studbook.exceptions import Unauthenticated, Unavailable
from studbook.fork_gate import importing
from studbook.job_variables import GITHUB_SECRET, GITHUB_URL, VARIABLE, is_github
from studbook.server_info import server_info
from studbook.shared_audiences import is_of_login, is_of_service
from studbook.token_claims import expiry_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.credentials import TokenSource

# Kubernetes: where a pod projects a token of its service account that is meant for the server.
KUBERNETES_TOKEN = Path("/var/run/secrets/studbook/token")

_TIMEOUT_S = 30.0
# Jobs' tokens live for minutes; the next one is asked for this long before the end.
_RENEW_BEFORE_S = 60.0


@dataclass(frozen=True)
class CiSystem:
    """A system that makes a token when its job asks for one.

    Attributes:
        is_here: Whether this process runs in a job of it that may ask.
        is_issuer: Whether an issuer URL is one of this system.
        request: Asks for a token with an audience.
    """

    is_here: Callable[[], bool]
    is_issuer: Callable[[str], bool]
    request: Callable[[str], str]


class JobToken:
    """A job's token, asked for anew before it expires.

    Args:
        system: Where the job runs.
        address: The server, which announces the audience that it takes tokens for.
        otherwise: What to use when the server takes no tokens of this system.
    """

    def __init__(self, system: CiSystem, address: str, otherwise: TokenSource) -> None:
        self._system = system
        self._address = address
        self._otherwise = otherwise
        self._audience: str | None = None
        self._token = ""
        self._obtained_at = self._expires_at = 0.0
        self._lock = threading.Lock()

    def token(self) -> str | None:
        """The present token, or the next one shortly before it expires.

        Raises:
            Unauthenticated: The CI system does not give one, or the server announces an audience
                that is known to be another service's.
            Unavailable: The server or the CI system cannot be reached.
        """
        return self._present(lambda _life: _RENEW_BEFORE_S)

    def lasting_token(self) -> str | None:
        """The same with at least half of its life before it."""
        return self._present(lambda life: life / 2)

    def next_token(self) -> str | None:
        """Another token than those before, as one that was exchanged is of no more use."""
        with self._lock:
            self._expires_at = 0.0
        return self.token()

    def _present(self, ahead: Callable[[float], float]) -> str | None:
        with self._lock:
            if self._audience is None:
                self._audience = self._announced_audience()
            if not self._audience:
                return self._otherwise.token()
            if time.time() >= self._expires_at - ahead(self._expires_at - self._obtained_at):
                self._renew(self._audience)
            return self._token

    def _announced_audience(self) -> str:
        for issuer in server_info(self._address).job_token_issuers:
            if self._system.is_issuer(issuer.issuer):
                _refuse_shared(issuer.audience, self._address)
                return issuer.audience
        return ""

    def _renew(self, audience: str) -> None:
        from studbook.credentials import check_token  # noqa: PLC0415 - it imports this module

        try:
            token = check_token(self._system.request(audience))
        except Unavailable:
            if time.time() < self._expires_at:
                return
            raise
        self._token, self._expires_at = token, expiry_of(token) or 0.0
        self._obtained_at = time.time()


def find(address: str, otherwise: TokenSource) -> TokenSource | None:
    """The token of the job that this process runs in; None outside jobs that have one.

    Args:
        address: The server.
        otherwise: What to use when the server takes no tokens of this job's system.
    """
    from studbook.credentials import FileToken, FixedToken  # noqa: PLC0415 - it imports this module

    if token := os.environ.get(VARIABLE):
        return FixedToken(token)
    if KUBERNETES_TOKEN.is_file():
        return FileToken(KUBERNETES_TOKEN)
    system = next((system for system in _SYSTEMS if system.is_here()), None)
    return JobToken(system, address, otherwise) if system is not None else None


def _refuse_shared(audience: str, address: str) -> None:
    if is_of_login(audience) or is_of_service(audience):
        message = f"{address} asks for tokens for {audience}, which is another service."
        raise Unauthenticated(
            message,
            reason="AUDIENCE_MISMATCH",
            next_step="Check STUDBOOK_ADDRESS; a Studbook server has an audience of its own.",
        )


def _is_github_issuer(url: str) -> bool:
    if urlsplit(url).hostname == "token.actions.githubusercontent.com":
        return True
    enterprise = os.environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    return bool(enterprise) and url.startswith(f"{enterprise}/_services/token")


def _github_token(audience: str) -> str:
    with importing():
        import httpx  # noqa: PLC0415 - needed in GitHub's jobs only

    # The URL has a query of its own already.
    url = httpx.URL(os.environ[GITHUB_URL]).copy_merge_params({"audience": audience})
    secret = os.environ[GITHUB_SECRET]
    try:
        with importing():  # which a first client does
            client = httpx.Client(timeout=_TIMEOUT_S)
        with client:
            answer = client.get(url, headers={"Authorization": f"Bearer {secret}"})
    except httpx.HTTPError as error:
        message = f"GitHub cannot be asked for the job's token: {error}."
        raise Unavailable(message) from None
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        message = f"GitHub answered with status {answer.status_code} when asked for a token."
        raise Unavailable(message)
    try:
        answer.raise_for_status()
        return str(answer.json()["value"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        # Not chained: the answer could hold a token.
        raise _not_given("GitHub", f"status {answer.status_code}") from None


def _token_from(name: str, *command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, but for the audience
            command, capture_output=True, check=False, text=True, timeout=_TIMEOUT_S
        )
    except OSError as error:
        raise _not_given(name, f"{command[0]} cannot be run: {error}") from None
    except subprocess.TimeoutExpired:
        message = f"`{command[0]}` did not answer within {_TIMEOUT_S:.0f} s."
        raise Unavailable(message) from None
    if done.returncode != 0:
        raise _not_given(name, done.stderr.strip()[-300:] or f"exit code {done.returncode}")
    return done.stdout


def _not_given(name: str, why: str) -> Unauthenticated:
    return Unauthenticated(
        f"{name} gave this job no token: {why}.",
        reason="TOKEN_MISSING",
        next_step="Look at docs/ci-pipelines.md for what the workflow needs.",
    )


_SYSTEMS = (
    CiSystem(is_github, _is_github_issuer, _github_token),
    CiSystem(
        lambda: os.environ.get("BUILDKITE") == "true",
        lambda url: urlsplit(url).hostname == "agent.buildkite.com",
        lambda audience: _token_from(
            "Buildkite", "buildkite-agent", "oidc", "request-token", "--audience", audience
        ),
    ),
    CiSystem(
        lambda: os.environ.get("CIRCLECI") == "true",
        lambda url: urlsplit(url).hostname == "oidc.circleci.com",
        lambda audience: _token_from(
            "CircleCI", "circleci", "run", "oidc", "get", "--claims", json.dumps({"aud": audience})
        ),
    ),
)
