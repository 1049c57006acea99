"""Options that several commands share, worded once."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print proto JSON instead of a table.")]
NamesOnly = Annotated[bool, typer.Option("--quiet", "-q", help="Print names only, one a line.")]
Filter = Annotated[
    str, typer.Option("--filter", metavar="EXPR", help="AIP-160 filter, applied by the server.")
]
OrderBy = Annotated[
    str, typer.Option("--order-by", metavar="FIELDS", help="Fields, each optionally with ' desc'.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Most rows to print.")]
Reason = Annotated[
    str, typer.Option("--reason", "-m", help="Why; entered in the ledger for everybody to read.")
]
Expect = Annotated[
    str,
    typer.Option(
        "--expect",
        metavar="VERSION|none",
        help="Refuse unless this version is in Production at that moment.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")]
At = Annotated[
    str, typer.Option("--at", metavar="TIME", help="Moment to answer for, e.g. 2026-03-03T14:05Z.")
]
