"""Aliases on both databases: one version at a time, whoever moves them, and what they named."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_service.alias_names import AliasName
from registry_service.aliases import delete_alias, set_alias
from registry_service.names import parse_version_name
from registry_service.records import Snapshot
from registry_service.registration import Registration, next_name, register
from registry_service.resolution import resolve_alias
from registry_service.version_numbers import Part
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import GRACE, MODEL, RUN, Stud, file

if TYPE_CHECKING:
    from registry_service.aliases import AliasSet

CHAMPION = AliasName(MODEL, "champion")
NUMBERS = ("1.0.0", "1.1.0", "1.2.0")


def name_it(stud: Stud, number: str, alias: AliasName = CHAMPION) -> AliasSet:
    version = f"{alias.model}/versions/{number}"
    return stud.write(
        lambda store: set_alias(
            store, GRACE, alias, version, reason="", etag="", validate_only=False
        )
    )


def drop(stud: Stud, alias: AliasName = CHAMPION) -> None:
    stud.write(
        lambda store: delete_alias(store, GRACE, alias, reason="", etag="", validate_only=False)
    )


def named_at(stud: Stud, us: int, alias: AliasName = CHAMPION) -> str | None:
    with suppress(StudbookError):
        return stud.read(lambda store: resolve_alias(store, GRACE, alias, us)).version.number
    return None


def test_of_many_who_move_an_alias_at_once_each_sees_the_one_before(stud: Stud) -> None:
    stud.create_model()
    numbers = [f"1.{minor}.0" for minor in range(8)]
    for number in numbers:
        stud.register(number)
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda number: name_it(stud, number), numbers))
    ordered = sorted(done, key=lambda change: change.stay.position)
    assert [change.former for change in ordered] == ["", *(c.stay.version for c in ordered[:-1])]
    for earlier, later in pairwise(ordered):
        assert named_at(stud, later.stay.start_us - 1) == earlier.stay.version.rpartition("/")[2]
        assert named_at(stud, later.stay.start_us) == later.stay.version.rpartition("/")[2]


steps = st.lists(st.sampled_from([*NUMBERS, ""]), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_the_history_of_an_alias_is_that_of_its_changes(stud: Stud, wanted: list[str]) -> None:
    alias = AliasName(f"workspaces/main/models/{uuid.uuid4()}", "champion")
    stud.create_model(alias.model)
    for number in NUMBERS:
        stud.register(number, model=alias.model)
    present: str | None = None
    expected: list[tuple[int, str | None]] = [(0, None)]
    for number in wanted:
        if number:
            change = name_it(stud, number, alias)
            assert change.unchanged == (number == present)
            if not change.unchanged:
                expected.append((change.stay.start_us, number))
            present = number
        elif present is not None:
            drop(stud, alias)
            head = stud.read(lambda store: store.ledger.head())
            expected.append((head.settled_us, None))
            present = None
    for start_us, named in expected:
        assert named_at(stud, start_us, alias) == named
    for (_, before), (start_us, _) in pairwise(expected):
        assert named_at(stud, start_us - 1, alias) == before
    for number in NUMBERS:
        borne = ("champion",) if number == present else ()
        assert stud.version(number, alias.model).aliases == borne


def test_one_model_made_anew_has_none_of_the_former_aliases(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    name_it(stud, "1.0.0")
    name_it(stud, "1.0.0", AliasName(MODEL, "canary"))
    assert stud.version("1.0.0").aliases == ("canary", "champion")
    other = "workspaces/main/models/other"
    stud.create_model(other)
    with pytest.raises(StudbookError) as caught:
        stud.read(lambda store: resolve_alias(store, GRACE, AliasName(other, "champion")))
    assert caught.value.reason == "NOT_FOUND"


def test_the_next_number_is_found_among_many_series(stud: Stud) -> None:
    stud.create_model()
    for number in ("1.9.0", "1.10.0", "1.10.1-rc.1", "0.99.0"):
        stud.register(number)
    other = "workspaces/main/models/other"
    stud.create_model(other)
    stud.register("7.0.0", model=other)
    found = {
        part: str(stud.read(lambda store, part=part: next_name(store, MODEL, part)).number)  # type: ignore[misc]
        for part in Part
    }
    assert found == {Part.MAJOR: "2.0.0", Part.MINOR: "1.11.0", Part.PATCH: "1.10.1"}


def test_of_two_with_the_same_next_number_one_is_told(stud: Stud) -> None:
    stud.create_model()
    name = stud.read(lambda store: next_name(store, MODEL, Part.MINOR))
    assert name == parse_version_name(f"{MODEL}/versions/0.1.0")
    files = (file("a"),)
    wish = Registration(name, RUN, ("a",), "", {})
    snapshot = Snapshot(b"", "0" * 64, files)
    stud.write(lambda store: register(store, GRACE, wish, snapshot, files))
    with pytest.raises(StudbookError) as caught:
        stud.write(lambda store: register(store, GRACE, wish, snapshot, files))
    assert caught.value.reason == "VERSION_EXISTS"
