"""`python -m local_stack.ci_token`: be a job of the demo's release pipeline.

Asks the development CI for a job's OIDC token, as a build agent does before it starts a job, and
prints it. What is asked for can be changed, so that one can watch the access rules refuse it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import yaml

from local_stack.data_folder import DataFolder, default_folder
from local_stack.demo_identities import AUDIENCE, CI_CLIENT, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A commit of the demo's imaginary repository.
_DEMO_COMMIT = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"


class CiRefusedError(RuntimeError):
    """The CI gives no token for this job."""


def release_job(**changes: str) -> dict[str, str]:
    """A job of the release pipeline on the main branch, with some fields changed or dropped.

    A field changed to the empty string is dropped.
    """
    job = {
        "repository": REPOSITORY,
        "ref": "refs/heads/main",
        "environment": "production",
        "sha": _DEMO_COMMIT,
        "workflow": "release.yml",
        "run_id": str(int(time.time())),
        "audience": AUDIENCE,
        **changes,
    }
    return {name: value for name, value in job.items() if value}


def ask_for_token(ci_issuer: str, secret: str, job: Mapping[str, str]) -> str:
    """The token for a job, asked for as the demo's build agent.

    Raises:
        CiRefusedError: The CI refuses, or cannot be reached.
    """
    try:
        answer = httpx.post(
            f"{ci_issuer}/token",
            json=dict(job),
            auth=(CI_CLIENT, secret),
            timeout=10,
            # The issuer is on loopback; a proxy in the environment has no business here.
            trust_env=False,
        )
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        message = f"The development CI at {ci_issuer} does not answer: {error}"
        raise CiRefusedError(message) from error
    if not answer.is_success:
        raise CiRefusedError(content.get("error_description", answer.text))
    return str(content["value"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a token; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_stack.ci_token",
        description="Print an OIDC token of the development CI for one job.",
    )
    parser.add_argument("--data", type=Path, default=default_folder(), metavar="DIR")
    for field in release_job():
        name = field.replace("_", "-")
        parser.add_argument(f"--{name}", help=f"default: {release_job()[field]}")
    options = vars(parser.parse_args(arguments))
    folder = DataFolder(options.pop("data"))
    changes = {field: value for field, value in options.items() if value is not None}
    try:
        config = yaml.safe_load(folder.dev_issuer.read_text())
        secret = folder.secret_file(CI_CLIENT).read_text()
        print(ask_for_token(config["ci"]["issuer"], secret, release_job(**changes)))
    except FileNotFoundError as error:
        print(f"{error.filename} is missing; is `studbook up` running?", file=sys.stderr)
        return 1
    except CiRefusedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
