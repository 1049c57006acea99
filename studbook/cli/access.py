"""`studbook access`: what may I do, and why."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Ask what you may do, and by which rule.",
)


@app.callback()
def access() -> None:
    """Ask what you may do, and by which rule."""


@app.command("test")
def explain_access(
    permission: Annotated[str, typer.Argument(metavar="PERMISSION", help="E.g. models.promote.")],
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE",
            help="Resource name; without workspaces/... it is taken in your workspace, "
            "e.g. models/wine-cultivar.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Would you be allowed this? Ends with 0 when yes, 4 when no; changes nothing."""
    from studbook.cli import output
    from studbook.client import Client
    from studbook.exceptions import PermissionDenied
    from studbook.identity.v1.identity_service_pb2 import TestAccessRequest, TestAccessResponse

    with Client() as client:
        whole = resource.startswith("workspaces/")
        name = resource if whole else f"{client.workspace}/{resource.strip('/')}"
        request = TestAccessRequest(permission=permission, resource=name)
        verdict: TestAccessResponse = client.identity.TestAccess(request)
    if as_json:
        output.print_json(verdict)
    else:
        output.print_lines([verdict.explanation])
    if not verdict.allowed:
        raise typer.Exit(PermissionDenied.exit_code)
