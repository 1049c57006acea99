"""Entries of the ledger as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.references import short_version
from studbook.registry.v1.ledger_pb2 import LedgerOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.registry.v1.ledger_pb2 import LedgerEntry

_HEADINGS = ("NO", "TIME", "ACTION", "OUTCOME", "RESOURCE", "BY", "REASON")


def print_entries(entries: Iterable[LedgerEntry]) -> None:
    """One line for each entry."""
    output.print_table(_HEADINGS, (_row(entry) for entry in entries))


def _row(entry: LedgerEntry) -> tuple[str, ...]:
    return (
        str(entry.position),
        output.row_time(entry.create_time),
        entry.action,
        _outcome(entry.outcome),
        _resource(entry.resource),
        entry.actor.id or output.MISSING,
        entry.reason or output.MISSING,
    )


def _outcome(outcome: LedgerOutcome.ValueType) -> str:
    if outcome in LedgerOutcome.values():
        return LedgerOutcome.Name(outcome).removeprefix("LEDGER_OUTCOME_").lower()
    return f"outcome {outcome}"


def _resource(name: str) -> str:
    """The short form that the commands take, where there is one."""
    if "/versions/" in name:
        return short_version(name)
    return name.partition("/models/")[2] or name
