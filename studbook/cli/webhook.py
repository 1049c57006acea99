"""`studbook webhook`: set up where changes are told by HTTP."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson, Filter, Limit, NamesOnly

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Set up where changes are told by HTTP.",
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Webhook, e.g. ops-chat.", show_default=False)
]


@app.command("create")
def create_webhook(
    name: Name,
    url: Annotated[str, typer.Option("--url", help="Where to POST to, https://...")],
    *,
    models: Annotated[
        str,
        typer.Option("--models", metavar="PATTERN", help="A model or a pattern such as wine-*."),
    ] = "",
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="TYPE",
            help="version.stage_changed or alias.changed; may be repeated; default all.",
        ),
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a webhook, and print its secret.

    The secret is never shown again.
    """
    from studbook.cli import output, webhook_calls

    answer = webhook_calls.create(name, url, models, events or [], description)
    if as_json:
        output.print_json(answer)
    else:
        output.note("Keep this secret where the receiver finds it; it is never shown again.")
        output.print_lines([answer.secret])


@app.command("ls")
def list_webhooks(
    *,
    filter_text: Filter = "",
    limit: Limit = 50,
    names_only: NamesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List webhooks, and how far they have been told."""
    from studbook.cli import output, webhook_calls, webhook_tables
    from studbook.cli.references import last_segment

    found = webhook_calls.list_all(filter_text, limit)
    if as_json:
        output.print_json(found)
    elif names_only:
        output.print_lines(last_segment(webhook.name) for webhook in found)
    else:
        webhook_tables.print_webhooks(found)


@app.command("rm")
def delete_webhook(name: Name) -> None:
    """Delete a webhook."""
    from studbook.cli import webhook_calls

    webhook_calls.delete(name)


@app.command("pause")
def pause_webhook(name: Name) -> None:
    """Let nothing be delivered for a while."""
    from studbook.cli import webhook_calls

    webhook_calls.set_active(name, active=False, skip=False)


@app.command("resume")
def resume_webhook(
    name: Name,
    *,
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out what has happened up to now.")
    ] = False,
) -> None:
    """Go on with a webhook that was paused, where it stood."""
    from studbook.cli import webhook_calls

    webhook_calls.set_active(name, active=True, skip=skip)


@app.command("rotate")
def rotate_secret(
    name: Name,
    *,
    overlap_hours: Annotated[
        float,
        typer.Option("--overlap", metavar="HOURS", min=0, help="How long the old one is used too."),
    ] = 24.0,
) -> None:
    """Give a webhook a new secret, and print it.

    Deliveries are signed with both for a while.
    """
    from studbook.cli import output, webhook_calls

    output.print_lines([webhook_calls.rotate(name, overlap_hours)])


@app.command("test")
def send_test(name: Name, *, as_json: AsJson = False) -> None:
    """Send a test event, and tell what came of it."""
    from studbook.cli import output, webhook_calls, webhook_tables

    answer = webhook_calls.test(name)
    if as_json:
        output.print_json(answer)
    else:
        webhook_tables.print_attempt(answer.attempt)
    if not answer.delivered:
        raise typer.Exit(1)


@app.command("deliveries")
def list_deliveries(
    name: Name, *, filter_text: Filter = "", limit: Limit = 50, as_json: AsJson = False
) -> None:
    """List what was sent to a webhook, newest first."""
    from studbook.cli import output, webhook_calls, webhook_tables

    found = webhook_calls.list_deliveries(name, filter_text, limit)
    if as_json:
        output.print_json(found)
    else:
        webhook_tables.print_deliveries(found)
