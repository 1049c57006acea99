"""The commands under `studbook model` by which people ask for a promotion and approve it."""

from typing import TYPE_CHECKING, Annotated

import typer

from studbook.cli.model_change import VersionArgument
from studbook.cli.options import AsJson, Limit, Reason

if TYPE_CHECKING:
    from studbook.registry.v1.review_service_pb2 import TransitionRequest

Comment = Annotated[
    str, typer.Option("--comment", "-m", help="In your own words; entered in the ledger.")
]
Seen = Annotated[
    str,
    typer.Option(
        "--seen",
        metavar="DIGEST",
        help="Digest of what you reviewed, as `model request` and `model requests` print it. "
        "Default: what it is now.",
    ),
]


def explain_promotion(version: VersionArgument, *, as_json: AsJson = False) -> None:
    """Say what each rule would do to a promotion now.

    Changes nothing. Ends with 0 when the version could enter Production, 5 when a rule keeps it
    out.
    """
    from studbook.cli import output, policy_tables, review_calls
    from studbook.client import Client
    from studbook.exceptions import FailedPrecondition

    with Client() as client:
        answer = review_calls.explain(client, version)
    if as_json:
        output.print_json(answer)
    else:
        policy_tables.print_explanation(answer, version)
    if not answer.could_enter:
        raise typer.Exit(FailedPrecondition.exit_code)


def request_promotion(
    version: VersionArgument, *, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Ask for approval of a version for Production."""
    from studbook.cli import review_calls
    from studbook.client import Client

    with Client() as client:
        made = review_calls.ask(client, version, reason)
    _show(made, as_json=as_json)


def approve_request(
    version: VersionArgument, *, comment: Comment = "", seen: Seen = "", as_json: AsJson = False
) -> None:
    """Approve the open request of a version."""
    _review(version, "APPROVE", comment, seen, as_json=as_json)


def reject_request(
    version: VersionArgument, *, comment: Comment = "", as_json: AsJson = False
) -> None:
    """Reject the open request of a version, which ends it."""
    _review(version, "REJECT", comment, "", as_json=as_json)


def cancel_request(
    version: VersionArgument, *, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Take the open request of a version back."""
    from studbook.cli import review_calls
    from studbook.client import Client

    with Client() as client:
        cancelled = review_calls.cancel(client, version, reason)
    _show(cancelled, as_json=as_json)


def list_requests(
    name: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="Model, or one version of it.")
    ],
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List requests, or show a version's with their reviews."""
    from studbook.cli import output, review_calls, review_tables
    from studbook.cli.references import names_version
    from studbook.client import Client

    with Client() as client:
        found = review_calls.list_requests(client, name, limit, ended=ended)
    if as_json:
        output.print_json(found)
    elif names_version(name):
        review_tables.print_each(found)
    else:
        review_tables.print_requests(found)


def _review(version: str, decision: str, comment: str, seen: str, *, as_json: bool) -> None:
    from studbook.cli import review_calls
    from studbook.client import Client

    with Client() as client:
        reviewed = review_calls.review(client, version, decision, comment, seen)
    _show(reviewed, as_json=as_json)


def _show(request: "TransitionRequest", *, as_json: bool) -> None:
    from studbook.cli import output, review_tables

    if as_json:
        output.print_json(request)
    else:
        review_tables.print_request(request)
