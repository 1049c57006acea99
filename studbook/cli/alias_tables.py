"""Aliases as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.references import last_segment, short_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.registry.v1.alias_pb2 import Alias
    from studbook.registry.v1.alias_service_pb2 import SetAliasResponse


def print_aliases(aliases: Iterable[Alias]) -> None:
    """What aliases name or named, one a line."""
    rows = (
        (
            last_segment(alias.name) + (" (protected)" if alias.is_protected else ""),
            last_segment(alias.version),
            output.row_time(alias.start_time),
            output.row_time(alias.end_time) if alias.HasField("end_time") else "now",
            alias.actor.id or output.MISSING,
            alias.reason or output.MISSING,
        )
        for alias in aliases
    )
    output.print_table(("ALIAS", "VERSION", "FROM", "UNTIL", "BY", "REASON"), rows)


def print_set(answer: SetAliasResponse, *, dry_run: bool) -> None:
    """What became of an alias, in sentences."""
    alias, version = last_segment(answer.alias.name), short_version(answer.alias.version)
    former = short_version(answer.former_version)
    if answer.unchanged:
        lines = [f"{alias} names {version} already; nothing was changed."]
    elif dry_run:
        lines = [f"{alias} may name {version}; nothing was changed."]
    else:
        lines = [f"{alias} names {version} now" + (f", not {former} any more." if former else ".")]
        lines.append(f"Ledger entry {answer.alias.ledger_position}.")
    output.print_lines(lines)
