"""Promote a version from a CI job, with the token that the CI system gives the job.

    python examples/promote_from_ci.py wine-cultivar@1.0.0 "all checks passed"

No secret is stored anywhere: the CI system signs a token that says which repository, branch and
environment the job belongs to, and the server's `access.yaml` says which of them may promote. The
SDK finds the token in the CI system's own way; docs/ci-pipelines.md has what each system's workflow
needs.
"""

from __future__ import annotations

import sys

from studbook import Client, model_registry
from studbook.exceptions import StudbookError


def main(arguments: list[str]) -> int:
    """Promote, and say what happened; the exit code is what the CI job ends with."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    version, reason = arguments
    try:
        with Client() as client:
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
