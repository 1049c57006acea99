"""A verification of a registry that is being written to: it finds nothing, and stops nobody."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from registry_service import ledger_audit
from registry_service.records import Stage
from service_chassis.errors import StudbookError
from tests.store.registry.full_registry import audit, checkpoint, erase, fill
from tests.store.registry.seeding import caller

if TYPE_CHECKING:
    import pytest

    from tests.store.registry.seeding import Stud

WRITERS = 4
ROUNDS = 12


def write(stud: Stud, writer: int) -> None:
    """What happens to a model, and an erasure of whoever did it now and then."""
    model = f"workspaces/main/models/m{writer}"
    by = caller(f"writer{writer}")
    stud.create_model(model)
    stud.register("1.0.0", model=model)
    stud.register("1.1.0", model=model)
    for number in range(ROUNDS):
        with suppress(StudbookError):
            stud.move(f"1.{number % 2}.0", Stage.PRODUCTION, model=model, by=by)
        if number % 4 == 3:
            erase(stud, by.principal.id)


def test_what_is_written_meanwhile_fits(stud: Stud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_audit, "PORTION", 7)
    fill(stud)
    over = threading.Event()
    found = []

    def look() -> int:
        looks = 0
        while not over.is_set():
            checkpoint(stud)
            found.extend(audit(stud))
            looks += 1
        return looks

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        looking = threads.submit(look)
        writing = [threads.submit(write, stud, number) for number in range(WRITERS)]
        for one in writing:
            one.result()
        over.set()
        assert looking.result()
    assert found == []
    assert audit(stud) == []
