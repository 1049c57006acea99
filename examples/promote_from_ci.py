"""Promote a version from a CI job, with the token that the CI system gives the job.

    python examples/promote_from_ci.py wine-cultivar@1.0.0 "all checks passed"

No secret is stored anywhere: the token says which repository, branch and environment the job
belongs to, and the server's `access.yaml` says which of them may promote. The token is taken from

* `STUDBOOK_TOKEN` or the file `STUDBOOK_TOKEN_FILE`: GitLab puts an `id_tokens:` entry into a
  variable of your choice, Kubernetes projects a service account token into a file;
* GitHub's endpoint, which a job with `permissions: id-token: write` finds in its environment.
"""

from __future__ import annotations

import os
import sys

import httpx

from studbook import Client, model_registry
from studbook.exceptions import StudbookError

AUDIENCE = "studbook"


class GitHubToken:
    """A token source that asks GitHub for the job's token whenever one is needed."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret

    def token(self) -> str:
        """A token for Studbook; it lives for some minutes, so it is asked for anew."""
        answer = httpx.get(
            self._url,
            params={"audience": AUDIENCE},
            headers={"Authorization": f"Bearer {self._secret}"},
            timeout=10,
        )
        answer.raise_for_status()
        return str(answer.json()["value"])


def open_client() -> Client:
    """A client that calls as the CI job."""
    url = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    if url and "STUDBOOK_TOKEN" not in os.environ:
        secret = os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
        return Client(token_source=GitHubToken(url, secret))
    # Without a source of its own the client reads the two variables by itself.
    return Client()


def main(arguments: list[str]) -> int:
    """Promote, and say what happened; the exit code is what the CI job ends with."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    version, reason = arguments
    try:
        with open_client() as client:
            answer = model_registry.promote(version, reason=reason, client=client)
    except StudbookError as error:
        sys.stderr.write(f"{error} [{error.reason}]\n{error.next_step}\n")
        return error.exit_code
    if answer.unchanged:
        sys.stdout.write(f"{version} was in Production already.\n")
    else:
        former = answer.displaced.version or "nothing"
        sys.stdout.write(f"{version} is in Production; before it was {former}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
