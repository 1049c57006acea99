"""`studbook audit verify`: whether ledger, checkpoints and tables of a registry fit."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studbook.cli.options import AsJson
from studbook.cli.prerequisites import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.ledger_verification import Progress, Verified

_HEADINGS = ("ENTRY", "WHERE", "WHAT", "PROBLEM")


def verify(
    *,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Checkpoints that were kept elsewhere, one a line. May be given several times.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="PEM",
            help="Public keys of the registry, kept elsewhere. Default: those that it names now.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify that ledger, checkpoints and tables agree.

    The registry compares its tables with the ledger; the ledger is checked here. Names the first
    entry that does not fit, and ends with exit code 6.

    Against a registry that writes its ledger anew, or cuts off its end, only a checkpoint helps
    that was kept elsewhere: make them with `studbook audit checkpoint`.
    """
    from studbook.certificates.keys import read_keys
    from studbook.checkpoints import read_envelopes
    from studbook.client import Client
    from studbook.ledger_verification import verify_ledger

    with readable():
        kept = [line for path in checkpoint or () for line in read_envelopes(path)]
        keys = read_keys(key) if key is not None else None
    with Client() as client, _progress() as progress:
        found = verify_ledger(client, kept, keys, progress)
    _print(found, len(kept), as_json=as_json)


def _print(found: "Verified", kept: int, *, as_json: bool) -> None:
    from studbook.cli import output
    from studbook.exceptions import VerificationFailed

    if as_json:
        output.print_json(_as_json(found))
    elif found.findings:
        rows = (
            (str(one.position or output.MISSING), one.place, one.subject, one.problem)
            for one in found.findings
        )
        output.print_table(_HEADINGS, rows)
    else:
        output.print_fields(
            (
                ("Ledger", found.ledger),
                ("Entries", str(found.position)),
                ("Last hash", found.hash.hex()),
                ("Checkpoints", f"{found.checkpoint_count}, {kept} of them kept elsewhere"),
                ("Verdict", "ledger, checkpoints and tables fit"),
            )
        )
    if found.findings:
        first = found.findings[0]
        where = f"entry {first.position}" if first.position else "what no entry speaks of"
        raise VerificationFailed(
            f"{found.finding_count} things do not fit, the first is {where} "
            f"({first.place}, {first.subject}): {first.problem}.",
            next_step="Somebody changed the database without the registry, or it is damaged. Keep "
            "a copy of it as it is, and compare it with a backup.",
        )


def _as_json(found: "Verified") -> dict[str, Any]:
    from studbook.cli import output

    return {
        "ledger": found.ledger,
        "position": str(found.position),
        "hash": found.hash.hex(),
        "checkpointCount": found.checkpoint_count,
        "fits": not found.findings,
        "findingCount": found.finding_count,
        "findings": [output.json_value(finding) for finding in found.findings],
    }


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on stderr; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _position, _head: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, position, head: bar.update(
            task, description=what, completed=position, total=max(head, position)
        )
