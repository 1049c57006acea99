"""`python -m registry_service verify`: verify a registry's database without a registry.

For administrators and auditors who have the database, or a copy of it. Reads only, and may run
beside a registry that serves.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from registry_service.ledger_audit import LedgerAudit
from registry_service.store import RegistryStore
from service_chassis.database import Database
from service_chassis.errors import StudbookError as ServiceError
from studbook.certificates.keys import read_keys
from studbook.checkpoints import read_envelopes
from studbook.exceptions import StudbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")

_DATABASE = "STUDBOOK_REGISTRY_DATABASE_URL"
_DOES_NOT_FIT = 6
_FAILED = 1


def verify(arguments: Sequence[str]) -> int:
    """Verify ledger, checkpoints and tables, and print what does not fit.

    Returns:
        The exit code: 0 when everything fits, 6 when something does not, 1 when it could not be
        told.
    """
    given = _parser().parse_args(arguments)
    url = given.database or os.environ.get(_DATABASE, "")
    try:
        kept = [line for path in given.checkpoint for line in read_envelopes(path)]
        audit = LedgerAudit(read_keys(given.key), kept)
        _run(url, audit)
    except (StudbookError, ServiceError, OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, StudbookError) else _FAILED
    for finding in sorted(audit.findings):
        print(finding.position, finding.place, finding.subject, finding.problem, sep="\t")
    verdict = f"{len(audit.findings)} things do not fit" if audit.findings else "everything fits"
    print(
        f"Entries up to {audit.position}, {audit.hash.hex()}, "
        f"{audit.checkpoint_count} checkpoints: {verdict}.",
        file=sys.stderr,
    )
    return _DOES_NOT_FIT if audit.findings else 0


def _run(url: str, audit: LedgerAudit) -> None:
    database = Database(_existing(url), "registry_service", pool_size=1)

    def read(work: Callable[[RegistryStore], T]) -> T:
        return database.read_now(lambda connection: work(RegistryStore(connection)))

    try:
        read(audit.begin)
        while not read(audit.step):
            if sys.stderr.isatty():
                print(f"\r{audit.position} of {audit.head_position}", end="", file=sys.stderr)
        read(audit.finish)
    finally:
        database.close()


def _existing(url: str) -> str:
    if not url:
        message = f"name the database with --database, or in {_DATABASE}"
        raise ValueError(message)
    # SQLite would make an empty one.
    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).is_file():
        message = f"there is no database {path}"
        raise ValueError(message)
    return url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m registry_service verify",
        description="Verify a registry's database: that each entry of the ledger is sealed over "
        "the one before, that checkpoints are signed and fit, and that the tables hold what the "
        "ledger says. Names on standard output what does not fit, earliest first, and ends with "
        "exit code 6 then.",
    )
    parser.add_argument("--database", metavar="URL", help=f"Default: what {_DATABASE} says.")
    parser.add_argument(
        "--key", metavar="PEM", type=Path, required=True, help="Public keys of the registry."
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="Checkpoints that were kept elsewhere, one a line.",
    )
    return parser
