"""The commands under `studbook audit` that make something: checkpoints, and erasures."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson, DryRun, Limit


def make_checkpoint(*, as_json: AsJson = False) -> None:
    """Make a checkpoint of the ledger, to be kept elsewhere.

    Prints it on one line: e.g. `studbook audit checkpoint >> checkpoints.jsonl`, on a machine that
    the registry's administrators do not reach. When nothing was entered since the last one, prints
    that.
    """
    import sys

    from studbook.cli import output
    from studbook.client import Client
    from studbook.registry.v1.ledger_service_pb2 import CreateCheckpointRequest

    with Client() as client:
        made = client.ledger.CreateCheckpoint(CreateCheckpointRequest(parent=client.workspace))
    if as_json:
        output.print_json(made)
        return
    sys.stdout.write(made.checkpoint.envelope.decode() + "\n")
    output.note(f"The checkpoint covers the ledger up to entry {made.checkpoint.position}.")


def list_checkpoints(*, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List the checkpoints that the registry keeps, newest first."""
    from studbook.cli import output
    from studbook.cli.paging import collect
    from studbook.client import Client
    from studbook.registry.v1.ledger_service_pb2 import ListCheckpointsRequest

    with Client() as client:
        request = ListCheckpointsRequest(parent=client.workspace, order_by="position desc")
        found = collect(
            client.ledger.ListCheckpoints, request, lambda page: page.checkpoints, limit
        )
    if as_json:
        output.print_json(found)
        return
    rows = ((str(one.position), output.row_time(one.create_time), one.key_id) for one in found)
    output.print_table(("UP TO", "MADE", "KEY"), rows)


def print_keys(*, as_json: AsJson = False) -> None:
    """Print the public keys that verify what the registry signs.

    For checkpoints and certificates, in PEM. The one that the registry signs with now comes first.
    """
    import sys

    from studbook.cli import output
    from studbook.client import Client
    from studbook.registry.v1.ledger_service_pb2 import GetLedgerKeysRequest

    with Client() as client:
        found = client.ledger.GetLedgerKeys(GetLedgerKeysRequest())
    if as_json:
        output.print_json(found)
        return
    for key in found.keys:
        sys.stdout.write(key.public_key_pem)
        output.note(f"{key.key_id}{' signs now' if key.signing else ''}")


def erase(
    principal: Annotated[
        str, typer.Argument(metavar="PRINCIPAL", help="E.g. user:https://login.example:ada.")
    ],
    *,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", "-m", help="Why; entered in the ledger, so it must not name the person."
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person from everything that the registry keeps. Cannot be undone.

    The ledger goes on to verify, and says that somebody was erased, not who. The tracking service,
    backups and certificates that were handed out are not touched.
    """
    import uuid

    from studbook.cli import output
    from studbook.client import Client
    from studbook.ledger_verification import WHOLE_LEDGER
    from studbook.registry.v1.ledger_service_pb2 import ErasePersonRequest

    request = ErasePersonRequest(
        parent=WHOLE_LEDGER, principal=principal, reason=reason, validate_only=True
    )
    with Client() as client:
        done = client.ledger.ErasePerson(request)
        if not dry_run:
            if not yes:
                question = f"Erase {principal} from {done.entry_count} entries, for good?"
                typer.confirm(question, abort=True, err=True)
            request.validate_only = False
            request.request_id = str(uuid.uuid4())
            done = client.ledger.ErasePerson(request)
    if as_json:
        output.print_json(done)
        return
    output.print_fields(
        (
            ("Entries", str(done.entry_count)),
            ("Lineages", str(done.lineage_count)),
            ("Reports", str(done.report_count)),
            ("Ledger entry", str(done.ledger_position or output.MISSING)),
        )
    )
