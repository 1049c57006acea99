"""`studbook access`: what may I do, and why; and what does an access file say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studbook.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studbook.identity.v1.identity_service_pb2 import TestAccessResponse

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Ask who may do what, and by which rule; check access files.",
)


@app.callback()
def access() -> None:
    """Ask who may do what, and by which rule; check access files."""


# What the last word of a permission says alone, where only one permission ends with it.
PERMISSIONS_BY_VERB = {
    "serve": "models.serve",
    "register": "models.register",
    "transition": "models.transition",
    "promote": "models.promote",
    "review": "models.review",
    "break_glass": "models.break_glass",
    "erase": "ledger.erase",
}


@app.command("test")
def explain_access(
    permission: Annotated[
        str,
        typer.Argument(
            metavar="PERMISSION", help="E.g. models.promote, or promote, which is the same."
        ),
    ],
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE",
            help="Resource name; without workspaces/... it is taken in your workspace, "
            "e.g. models/wine-cultivar, or the name of a model alone.",
        ),
    ],
    *,
    members: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="MEMBER",
            help="Ask for user:ISSUER:SUB, group:ISSUER:NAME, service:ISSUER:CLIENT_ID or "
            "pipeline:NAME instead of yourself; several are one who is all of them. At a server "
            "this takes the permission access.test.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask this access.yaml, without any server."),
    ] = None,
    claims: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON", help="Ask for a token with the claims in this file; with --file."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether you, or somebody else, may do something.

    Ends with 0 when yes, and with 4 when no; changes nothing.
    """
    from studbook.cli import output
    from studbook.cli.access_files import answer
    from studbook.exceptions import PermissionDenied
    from studbook.workspaces import resolve_workspace

    permission = PERMISSIONS_BY_VERB.get(permission, permission)
    name = _whole_name(resource, permission, resolve_workspace())
    if file is None and claims is not None:
        message = "--claims takes --file, because servers believe real tokens only"
        raise typer.BadParameter(message)
    if file is None:
        verdict = _ask_server(members or [], permission, name)
    elif members or claims:
        verdict = answer(file, members or [], claims, permission, name)
    else:
        message = "--file knows nobody; say for whom to ask, with --as or --claims"
        raise typer.BadParameter(message)
    if as_json:
        output.print_json(verdict)
    else:
        output.print_lines([verdict.explanation])
    if not verdict.allowed:
        raise typer.Exit(PermissionDenied.exit_code)


def _whole_name(resource: str, permission: str, workspace: str) -> str:
    if resource.startswith("workspaces/"):
        return resource
    if "/" not in resource and permission.startswith("models."):
        return f"{workspace}/models/{resource}"
    return f"{workspace}/{resource.strip('/')}"


def _ask_server(members: list[str], permission: str, resource: str) -> "TestAccessResponse":
    from studbook.client import Client
    from studbook.identity.v1.identity_service_pb2 import TestAccessRequest

    request = TestAccessRequest(permission=permission, resource=resource, members=members)
    with Client() as client:
        verdict: TestAccessResponse = client.identity.TestAccess(request)
    return verdict


@app.command("check")
def check_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The access.yaml.")],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 because of warnings, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Find faults in an access file.

    For instance in a pull request. Prints FILE:LINE: error: ... or warning: ..., as compilers do.
    Ends with 0 when a gateway would take the file, and with 1 when it would refuse it.
    """
    from studbook.cli import output
    from studbook.cli.access_files import report

    found = report(file)
    findings = [("error", one) for one in found.faults]
    findings += [("warning", one) for one in found.warnings]
    if as_json:
        rows = [
            {"severity": severity, "line": one.line, "place": one.place, "text": one.text}
            for severity, one in findings
        ]
        output.print_json({"file": str(file), "usable": not found.faults, "findings": rows})
    else:
        output.print_lines([f"{file}:{one.line}: {kind}: {one}" for kind, one in findings])
        output.note(
            f"{file}: {_counted(found.faults, 'error')}, {_counted(found.warnings, 'warning')}"
        )
    if found.faults or (strict and found.warnings):
        raise typer.Exit(1)


def _counted(things: "Sequence[object]", name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


@app.command("diff")
def compare_files(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The access.yaml as it is.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The access.yaml as it shall be.")],
) -> None:
    """Show who gains (+) and loses (-) what with another file."""
    from studbook.cli import output
    from studbook.cli.access_files import differences

    lines = differences(old, new)
    output.print_lines(lines)
    if not lines:
        output.note("Nobody gains or loses anything.")
