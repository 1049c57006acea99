"""`studbook model alias` and `studbook model edit`: names, words and tags of versions."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson, At, DryRun, Filter, Limit, Reason

alias_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Give versions names such as champion and canary.",
)

AliasArgument = Annotated[
    str, typer.Argument(metavar="NAME@ALIAS", help="E.g. wine-cultivar@champion.")
]


@alias_app.command("set")
def set_alias(
    version: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="E.g. wine-cultivar@1.2.0.")
    ],
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="E.g. champion.")],
    *,
    reason: Reason = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make an alias name a version, whatever it named before."""
    from studbook import model_aliases
    from studbook.cli import alias_tables, output
    from studbook.cli.references import numbered_version

    reference = numbered_version(version)
    answer = model_aliases.set_alias(reference, alias, reason=reason, validate_only=dry_run)
    if as_json:
        output.print_json(answer)
    else:
        alias_tables.print_set(answer, dry_run=dry_run)


@alias_app.command("rm")
def remove_alias(alias: AliasArgument, *, reason: Reason = "", dry_run: DryRun = False) -> None:
    """Take an alias from its version. The ledger keeps what it named."""
    from studbook import model_aliases
    from studbook.cli import output

    model_aliases.delete_alias(alias, reason=reason, validate_only=dry_run)
    done = "may be removed; nothing was changed" if dry_run else "names nothing any more"
    output.print_lines([f"{alias} {done}."])


@alias_app.command("ls")
def list_aliases(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, e.g. wine-cultivar.")],
    *,
    past: Annotated[
        bool, typer.Option("--all", "-a", help="Also what they named before, newest first.")
    ] = False,
    at: At = "",
    filter_text: Filter = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what the aliases of a model name, or named.

    Now, at a moment, or ever.
    """
    from studbook.cli import alias_tables, model_calls, output
    from studbook.cli.references import moment
    from studbook.client import Client

    when = moment(at) if at else None
    with Client() as client:
        aliases = model_calls.list_aliases(
            client, name, filter_text, limit, at=when, show_past=past
        )
    if as_json:
        output.print_json(aliases)
    else:
        alias_tables.print_aliases(aliases)


def edit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]", help="wine-cultivar, the model, or wine-cultivar@1.2.0."
        ),
    ],
    *,
    description: Annotated[str | None, typer.Option(help="What is special, for people.")] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Add or change a tag.")
    ] = None,
    untag: Annotated[
        list[str] | None, typer.Option("--untag", metavar="KEY", help="Remove a tag.")
    ] = None,
    protect: Annotated[
        list[str] | None,
        typer.Option(
            "--protect", metavar="ALIAS", help="Let the alias move with models.promote only."
        ),
    ] = None,
    unprotect: Annotated[
        list[str] | None, typer.Option("--unprotect", metavar="ALIAS", help="Lift that.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Change description, tags and protected aliases.

    Description and tags of a model or version; which aliases a model protects.
    """
    from studbook.cli import model_calls, model_edit, output

    wanted = model_edit.Wanted(
        description,
        model_calls.read_tags(tags or []),
        frozenset(untag or ()),
        frozenset(protect or ()),
        frozenset(unprotect or ()),
    )
    changed = model_edit.edit(name, wanted, validate_only=dry_run)
    if as_json:
        output.print_json(changed)
    else:
        done = "may be changed so; nothing was changed" if dry_run else "is changed"
        output.print_lines([f"{name} {done}."])
