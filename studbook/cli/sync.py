"""`studbook sync`: send the records that processes left behind."""

from pathlib import Path
from typing import Annotated

import typer


def sync(
    *,
    directory: Annotated[
        str,
        typer.Option(
            "--directory", metavar="DIR", help="Folder of the records (default STUDBOOK_DIR)."
        ),
    ] = "",
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Server to send to (default: the one each run was meant for).",
        ),
    ] = "",
) -> None:
    """Send what offline, killed or cut-off runs have left on this machine.

    Runs that are still going on are left alone. What was sent is removed here; what the server
    did not take is listed. Ends with 1 when something could not be sent.
    """
    from studbook.cli import output
    from studbook.sync import sync_pending

    runs = sync_pending(address=address or None, root=Path(directory) if directory else None)
    if not runs:
        output.note("Nothing is waiting to be sent.")
        return
    rows = [
        (synced.run, "sent" if synced.is_complete else "waiting", synced.remark())
        for synced in runs
    ]
    output.print_table(("RUN", "STATE", "REMARK"), rows)
    for synced in runs:
        for refusal in synced.refusals:
            output.note(f"{synced.run}: the server did not take the {refusal}")
        if synced.problem is not None:
            output.note(f"{synced.run}: {getattr(synced.problem, 'next_step', '')}".rstrip(": "))
    failed = [synced.problem for synced in runs if synced.problem is not None]
    if failed:
        raise typer.Exit(getattr(failed[0], "exit_code", 1))
