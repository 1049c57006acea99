"""Erasing a person: the name is gone from everywhere, and the ledger still verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from registry_service.erasure import erase_person
from registry_service.records import Stage
from registry_service.tables import metadata
from service_chassis.errors import StudbookError
from tests.store.registry.full_registry import audit, checkpoint, erase, fill
from tests.store.registry.seeding import AUTHOR, GRACE, Stud, caller

if TYPE_CHECKING:
    from registry_service.ledger import Entry

BO = "user:demo:bo"


def everything(stud: Stud) -> str:
    """All rows of all tables, as text."""

    def read(connection: sa.Connection) -> str:
        tables = metadata.sorted_tables
        return "\n".join(
            " ".join(map(_text, row))
            for table in tables
            for row in connection.execute(sa.select(table))
        )

    return stud.database.read_now(read)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def entry_at(stud: Stud, position: int) -> Entry:
    found = stud.read(lambda store: store.ledger.at(position))
    assert found is not None
    return found


@pytest.mark.parametrize("person", [GRACE.principal.id, BO, AUTHOR.id])
def test_nothing_names_the_person_any_more(stud: Stud, person: str) -> None:
    fill(stud)
    kept = checkpoint(stud)
    assert person in everything(stud)
    erase(stud, person)
    assert person not in everything(stud)
    assert audit(stud, [kept]) == []


def test_only_the_person_is_erased_and_an_entry_says_so(stud: Stud) -> None:
    fill(stud)
    before = stud.read(lambda store: list(store.ledger.entries()))
    position = erase(stud, BO, reason="asked to")
    after = stud.read(lambda store: list(store.ledger.entries()))
    told = after[-1]
    assert (told.position, told.action, told.reason) == (position, "person.erase", "asked to")
    assert told.actor.id == "user:demo:admin"
    for old, new in zip(before, after, strict=False):
        if old.actor.id == BO:
            assert (new.actor.id, new.actor_salt, new.erased_by) == ("erased", b"", position)
        else:
            assert new == old
    assert [new.hash for new in after[:-1]] == [old.hash for old in before]


def test_whoever_made_things_is_erased_there_too(stud: Stud) -> None:
    fill(stud)
    erase(stud, GRACE.principal.id)
    assert stud.version("1.0.0").creator.id == "erased"
    stays = stud.read(lambda store: store.stays.all_of(stud.version("1.0.0").uid))
    assert {stay.actor.id for stay in stays} == {"erased"}


def test_what_the_person_does_later_is_erased_by_another_erasure(stud: Stud) -> None:
    fill(stud)
    first = erase(stud, GRACE.principal.id)
    stud.move("1.4.0", Stage.STAGING)
    late = stud.read(lambda store: store.ledger.head()).position
    assert entry_at(stud, late).actor == GRACE.principal
    second = erase(stud, GRACE.principal.id)
    assert second > first
    assert entry_at(stud, late).erased_by == second
    assert audit(stud) == []


def test_two_authors_are_erased_one_after_the_other(stud: Stud) -> None:
    fill(stud)
    for person in (AUTHOR.id, BO, GRACE.principal.id):
        erase(stud, person)
        assert audit(stud) == []


@pytest.mark.parametrize(
    ("person", "reason", "field"),
    [
        ("pipeline:release", "", "principal"),
        ("grace", "", "principal"),
        ("user:demo:admin", "", "principal"),
        (BO, f"{BO} asked to", "reason"),
        (BO, "Bo asked to", "reason"),
    ],
)
def test_what_cannot_be_erased_is_refused(stud: Stud, person: str, reason: str, field: str) -> None:
    fill(stud)
    before = everything(stud)
    with pytest.raises(StudbookError) as refused:
        erase(stud, person, reason)
    assert refused.value.reason == "FIELD_INVALID"
    assert refused.value.metadata["field"] == field
    assert everything(stud) == before


def test_somebody_unknown_is_not_found_and_a_trial_changes_nothing(stud: Stud) -> None:
    fill(stud)
    before = everything(stud)
    with pytest.raises(StudbookError) as refused:
        erase(stud, "user:demo:nobody")
    assert refused.value.reason == "NOT_FOUND"
    tried = stud.write(
        lambda store: erase_person(store, caller("admin"), BO, "", validate_only=True)
    )
    assert (tried.entries, tried.position) == (3, 0)
    assert everything(stud) == before


def test_refusals_in_the_ledger_name_nobody(stud: Stud) -> None:
    fill(stud)
    entries = stud.read(lambda store: list(store.ledger.entries()))
    for entry in entries:
        assert GRACE.principal.id not in entry.reason + entry.content_json
