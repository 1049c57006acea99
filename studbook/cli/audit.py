"""`studbook audit`: read the registry's ledger, and keep the registry to its word."""

from typing import Annotated

import typer

from studbook.cli.audit_change import erase, list_checkpoints, make_checkpoint, print_keys
from studbook.cli.audit_verify import verify
from studbook.cli.options import AsJson, Filter, Limit

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Read and verify the registry's ledger.",
)
app.command("verify")(verify)
app.command("checkpoint")(make_checkpoint)
app.command("checkpoints")(list_checkpoints)
app.command("keys")(print_keys)
app.command("erase")(erase)


@app.callback()
def audit() -> None:
    """Read the registry's ledger: who did what, when and why, also what was refused."""


@app.command("ls")
def list_entries(
    *,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Only entries of this model.")
    ] = "",
    filter_text: Filter = "",
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="Default: newest first.")
    ] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List entries, newest first."""
    from studbook.cli import audit_tables, model_calls, output
    from studbook.client import Client
    from studbook.model_reference import parse_reference

    with Client() as client:
        parent = parse_reference(model).model_name(client.workspace) if model else client.workspace
        order_by = "position" if oldest_first else "position desc"
        entries = model_calls.list_ledger(client, parent, filter_text, order_by, limit)
    if as_json:
        output.print_json(entries)
    else:
        audit_tables.print_entries(entries)
