"""`studbook policy`: what must hold before a version enters Production."""

from pathlib import Path
from typing import Annotated

import typer

from studbook.cli.options import AsJson, DryRun, Limit

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Set and read promotion policies.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Policy, e.g. production.")]


@app.command("set")
def set_policy(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="YAML; see docs/promotion-policies.md.")
    ],
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put policies in force as files have them.

    What is so already stays as it is.
    """
    from studbook.cli import output, policy_calls, policy_tables
    from studbook.client import Client

    with Client() as client:
        made = policy_calls.set_policies(client, files, validate_only=dry_run)
    if as_json:
        output.print_json(made)
    else:
        policy_tables.print_policies(made)


@app.command("get")
def get_policy(
    name: Name,
    *,
    revision: Annotated[int, typer.Option(help="An earlier revision.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print a policy as a YAML file that `policy set` takes."""
    from studbook.cli import output, policy_calls, policy_file
    from studbook.client import Client

    with Client() as client:
        found = policy_calls.get_policy(client, name, revision)
    if as_json:
        output.print_json(found)
    else:
        output.print_lines(policy_file.as_yaml(found).splitlines())


@app.command("ls")
def list_policies(*, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List the policies in force."""
    from studbook.cli import output, policy_calls, policy_tables
    from studbook.client import Client

    with Client() as client:
        found = policy_calls.list_policies(client, limit)
    if as_json:
        output.print_json(found)
    else:
        policy_tables.print_policies(found)


@app.command("history")
def list_revisions(name: Name, *, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List the revisions of a policy, also of one that was deleted."""
    from studbook.cli import output, policy_calls, policy_tables
    from studbook.client import Client

    with Client() as client:
        found = policy_calls.list_revisions(client, name, limit)
    if as_json:
        output.print_json(found)
    else:
        policy_tables.print_policies(found)


@app.command("rm")
def remove_policy(name: Name) -> None:
    """Put a policy out of force. Its revisions stay."""
    from studbook.cli import policy_calls
    from studbook.client import Client

    with Client() as client:
        policy_calls.delete_policy(client, name)
