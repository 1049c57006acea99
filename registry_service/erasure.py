"""Erasing a person, without a trace of the name and without breaking the ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.ledger import Draft
from registry_service.lineage_snapshot import without_author
from service_chassis.errors import invalid_field, not_found
from studbook.ledger_chain import ERASE_PERSON, Erasure

if TYPE_CHECKING:
    from registry_service.canonical_json import JsonObject
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller
    from service_chassis.errors import StudbookError

PERSON = "user:"
WHOLE_LEDGER = "workspaces/-"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, or would be.

    Attributes:
        entries: Entries of the ledger.
        lineages: Lineages of versions whose run the person made.
        reports: Reports of what was loaded.
        position: Position of the entry that says so; 0 when nothing was changed.
    """

    entries: int
    lineages: int
    reports: int
    position: int = 0


def erase_person(
    store: RegistryStore, caller: Caller, person: str, reason: str, *, validate_only: bool
) -> Erased:
    """Erase a person from everything that the registry keeps.

    Must run in a write transaction.

    Raises:
        StudbookError: NOT_FOUND; FIELD_INVALID for whoever is no person, for oneself, and for a
            reason that names the person.
    """
    _check(caller, person, reason)
    # From here on nothing is entered by the person until this transaction is over.
    store.ledger.lock()
    found = store.erasure.find(person)
    if found is not None and found.display_name and found.display_name in reason:
        raise _names(reason)
    erasure = Erasure()
    for position in store.erasure.positions(person):
        erasure.add(position)
    lineages = {
        uid: anonymous
        for uid, lineage in store.erasure.lineages(person)
        if (anonymous := without_author(lineage, person)) != lineage
    }
    reports = store.erasure.count_reports(person)
    if not (erasure.entries or lineages or reports):
        raise not_found(person, "the registry holds nothing of such a person")
    if validate_only:
        return Erased(erasure.entries, len(lineages), reports)
    digests = {uid: hashlib.sha256(lineage).hexdigest() for uid, lineage in lineages.items()}
    content: JsonObject = {
        "entries": erasure.entries,
        "positions_digest": erasure.positions_digest,
        "lineages": [
            {"version_uid": uid, "digest": f"sha256:{digest}"} for uid, digest in digests.items()
        ],
        "reports": reports,
    }
    entry = store.ledger.append(
        Draft(caller.principal, ERASE_PERSON, WHOLE_LEDGER, content, reason)
    )
    store.erasure.erase(person, entry.position)
    for uid, lineage in lineages.items():
        store.erasure.replace_lineage(uid, lineage)
    return Erased(erasure.entries, len(lineages), reports, entry.position)


def _check(caller: Caller, person: str, reason: str) -> None:
    if not person.startswith(PERSON):
        raise invalid_field("principal", person, f"give the id of a person, {PERSON}...")
    if person == caller.principal.id:
        raise invalid_field(
            "principal", person, "somebody else has to erase you: the entry would name you again"
        )
    if person in reason:
        raise _names(reason)


def _names(reason: str) -> StudbookError:
    return invalid_field("reason", reason, "it stays in the ledger and must not name the person")
