"""The environment variables by which a process knows that it runs in a CI job with a token."""

from __future__ import annotations

import os

# GitLab: the entry under `id_tokens:`.
VARIABLE = "STUDBOOK_ID_TOKEN"
GITHUB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
GITHUB_SECRET = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - the variable's name


def is_github() -> bool:
    """Whether this is a job of GitHub's that may have a token."""
    return bool(os.environ.get(GITHUB_URL) and os.environ.get(GITHUB_SECRET))


def advice() -> str:
    """What the workflow of this job lacks for a token; empty outside jobs."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and not is_github():
        return "Give the job `permissions: {id-token: write}`, so that GitHub makes it a token."
    if os.environ.get("GITLAB_CI") == "true" and VARIABLE not in os.environ:
        return f"Give the job `id_tokens: {{{VARIABLE}: {{aud: AUDIENCE}}}}` in .gitlab-ci.yml."
    return ""
