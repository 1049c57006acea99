"""`python -m bench.ledger`: how long does it take to verify a long ledger?

Straight on the database, as `python -m registry_service verify` does it; by the registry, through
the gateway; and by `studbook audit verify`, which asks the registry and reads every entry besides.
While the registry verifies, others ask it what is in Production.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.long_ledger import fill
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from registry_service.ledger_audit import LedgerAudit
from registry_service.store import RegistryStore
from service_chassis.database import Database
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.ledger_verification import verify_ledger
from studbook.registry.v1.ledger_service_pb2 import VerifyLedgerRequest
from studbook.registry.v1.serving_service_pb2 import ResolveVersionRequest

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRIES = 1_000_000
MODEL = "workspaces/main/models/model-00000"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 1)


def verify_database(url: str) -> None:
    """Verify without a server."""
    database = Database(url, "registry_service")
    audit = LedgerAudit({})
    try:
        for work in (audit.begin, audit.step, audit.finish):
            done = False
            while not done:
                step = work
                done = database.read_now(lambda at: step(RegistryStore(at)) is not False)  # noqa: B023
    finally:
        database.close()
    if audit.findings or audit.position != audit.head_position:
        message = f"the ledger does not verify: {audit.findings[:3]}"
        raise RuntimeError(message)


def ask_registry(client: Client) -> None:
    """Let the registry verify."""
    for message in client.ledger.VerifyLedger(VerifyLedgerRequest(parent="workspaces/-")):
        if message.complete and message.finding_count:
            raise RuntimeError(str(message.findings[0]))


def measure(stack: LocalStack) -> dict[str, object]:
    """The figures through the gateway."""
    gateway = stack.addresses.gateway
    token = FixedToken(login.as_demo_person(gateway, "max").access_token)
    found: dict[str, object] = {}
    with Client(gateway, workspace="main", token_source=token) as client:
        request = ResolveVersionRequest(model=MODEL)

        def resolve() -> object:
            return client.serving.ResolveVersion(request)

        found["resolve Production, alone"] = latency(resolve)
        verifying = threading.Thread(
            target=lambda: found.update(
                {"by the registry, s": seconds(lambda: ask_registry(client))}
            )
        )
        verifying.start()
        found["resolve Production, beside a verification"] = latency(resolve)
        verifying.join()
        found["studbook audit verify, s"] = seconds(lambda: verify_ledger(client))
    return found


def main() -> None:
    """Fill, start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    entries: int = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "stack"
        folder.mkdir(mode=0o700)
        url = f"sqlite:///{folder / 'registry.sqlite'}"
        figures: dict[str, object] = {"entries": entries}
        figures["to fill, s"] = seconds(lambda: fill(url, entries))
        figures["on the database, s"] = seconds(lambda: verify_database(url))
        with LocalStack(folder, Ports.from_base(0)) as stack:
            figures |= measure(stack)
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
