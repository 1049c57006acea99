"""The chain of the ledger: what is sealed, and that every alteration is found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_service.canonical_json import JsonObject, canonical_json
from registry_service.ledger import (
    ERASED,
    START,
    Draft,
    Entry,
    Head,
    Outcome,
    actor_json,
    seal,
    verify_chain,
)
from service_chassis.caller import Principal
from studbook.ledger_chain import entry_hash

ADA = Principal(id="user:demo:ada", kind="user", display_name="Ada", issuer="https://login.example")
SALT = bytes(range(16))


def chain(length: int, now_us: int = 1_000_000) -> list[Entry]:
    head, entries = START, []
    for number in range(length):
        draft = Draft(ADA, "model.create", f"workspaces/main/models/m{number}", {"n": number})
        entry = seal(head, draft, now_us + number, SALT)
        entries.append(entry)
        head = Head(entry.position, entry.hash, entry.create_us)
    return entries


def test_a_sound_chain_verifies_as_a_whole_and_in_parts() -> None:
    entries = chain(5)
    assert verify_chain(entries) is None
    middle = entries[2]
    after = Head(middle.position, middle.hash, middle.create_us)
    assert verify_chain(entries[3:], after) is None
    assert verify_chain([]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"create_us": 1_000_001 + 7},
        {"action": "model.delete"},
        {"resource": "workspaces/main/models/other"},
        {"outcome": Outcome.REFUSED},
        {"reason": "another"},
        {"content_json": '{"n":3}'},
        {"content_json": '{"n": 2}'},
        {"caused_by": 1},
        {"actor_digest": bytes(32)},
        {"actor_salt": bytes(16)},
        {"actor": replace(ADA, display_name="Eve")},
        {"actor_salt": b""},
        {"hash": bytes(32)},
        {"previous_hash": bytes(32)},
        {"position": 4},
    ],
)
def test_an_altered_entry_is_the_first_that_does_not_fit(change: dict[str, Any]) -> None:
    entries = chain(5)
    entries[2] = replace(entries[2], **change)
    fault = verify_chain(entries)
    assert fault is not None
    # An altered time may only show in the entry itself or make the next one too early.
    assert fault.position == entries[2].position
    assert fault.problem


@given(st.integers(0, 4), st.sampled_from(["dropped", "repeated", "swapped"]))
def test_entries_that_are_missing_or_out_of_place_are_found(index: int, harm: str) -> None:
    entries = chain(6)
    if harm == "dropped":
        del entries[index]
    elif harm == "repeated":
        entries.insert(index, entries[index])
    else:
        entries[index], entries[index + 1] = entries[index + 1], entries[index]
    assert verify_chain(entries) is not None


def test_an_entry_sealed_anew_breaks_the_next() -> None:
    entries = chain(3)
    forged = Draft(ADA, "model.delete", entries[1].resource, {})
    before = Head(1, entries[0].hash, entries[0].create_us)
    entries[1] = seal(before, forged, entries[1].create_us, SALT)
    fault = verify_chain(entries)
    assert fault is not None
    assert fault.position == 3


def test_an_erased_actor_does_not_break_the_chain() -> None:
    entries = chain(3)
    entries[1] = replace(entries[1], actor=ERASED, actor_salt=b"", erased_by=9)
    assert verify_chain(entries) is None


def test_sealing_by_hand_gives_canonical_json() -> None:
    text = st.text(st.characters(exclude_categories=["Cs"]))
    number = st.integers(0, 2**53 - 1)

    @given(text, text, text, text, number, number, st.binary(min_size=32, max_size=32))
    def check(
        action: str, resource: str, reason: str, content: str, position: int, us: int, digest: bytes
    ) -> None:
        sealed = entry_hash(
            digest,
            position=position,
            create_us=us,
            actor_digest=digest,
            action=action,
            resource=resource,
            outcome="DONE",
            reason=reason,
            content_json=content,
            caused_by=position,
        )
        members: JsonObject = {
            "resource": resource,
            "reason": reason,
            "position": position,
            "outcome": "DONE",
            "create_time": us,
            "content_json": content,
            "caused_by": position,
            "actor_digest": digest.hex(),
            "action": action,
        }
        assert sealed == hashlib.sha256(digest + canonical_json(members).encode()).digest()

    check()


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text('aé"\\\n\x07')),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_actors_are_written_as_canonical_json(claims: dict[str, str], name: str) -> None:
    written = actor_json(Principal(id=name, kind="user", pipeline_claims=claims, subject=name))
    assert written == canonical_json(json.loads(written))
    assert json.loads(written)["pipeline_claims"] == claims


def test_time_grows_when_the_clock_does_not() -> None:
    first = seal(START, Draft(ADA, "a", "workspaces/main"), 1_000, SALT)
    head = Head(first.position, first.hash, first.create_us)
    assert seal(head, Draft(ADA, "a", "workspaces/main"), 500, SALT).create_us == 1_001
    settled = replace(head, settled_us=2_000)
    assert seal(settled, Draft(ADA, "a", "workspaces/main"), 1_500, SALT).create_us == 2_001


def test_canonical_json_has_one_form() -> None:
    value = {"b": [1, True, None, (2,)], "a": 'é\u2028\x07\x7f"\\', "\U0001f377": "", "\uffee": ""}
    assert canonical_json(value) == (
        '{"a":"é\u2028\\u0007\x7f\\"\\\\","b":[1,true,null,[2]],"\U0001f377":"","\uffee":""}'
    )


@pytest.mark.parametrize("value", [0.5, float("nan"), b"x", object()])
def test_canonical_json_refuses_what_has_no_one_form(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": [value]})


def test_canonical_json_refuses_numbers_that_readers_would_round() -> None:
    assert canonical_json(2**53 - 1) == "9007199254740991"
    with pytest.raises(ValueError, match="too large"):
        canonical_json(2**53)
