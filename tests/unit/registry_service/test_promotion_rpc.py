"""Promotion over gRPC: holds, refusals, safe retries, and the ledger as clients see it."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from studbook.registry.v1 import ledger_pb2
from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    RUN,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

ONE = f"{MODEL}/versions/1.0.0"
TWO = f"{MODEL}/versions/1.1.0"
TRAINER = caller("ada", {"models.transition": ("**",), "models.read": ("**",)})


async def prepare(registry: Registry) -> None:
    registry.add_run({"model/model.joblib": b"forest"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    await registry.register("1.0.0")
    await registry.register("1.1.0")


def test_promotion_displaces_and_rollback_restores(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        first = await registry.move("1.0.0", "PRODUCTION", reason="first")
        assert first.transition.name == f"{MODEL}/transitions/{first.ledger_position}"
        assert not first.HasField("displaced")
        second = await registry.move("1.1.0", "PRODUCTION", expected_production=ONE)
        assert second.displaced.name == ONE
        assert second.displaced.stage == 4
        assert second.transition.actor.id == "user:demo:grace"
        again = await registry.move("1.1.0", "PRODUCTION", expected_production=ONE)
        assert again.unchanged
        assert again.ledger_position == 0
        back = await registry.call("PromotionService.Rollback", name=MODEL, reason="worse")
        assert (back.version.name, back.displaced.name) == (ONE, TWO)
        assert back.transition.cause == 3
        listed = await registry.call("PromotionService.ListTransitions", parent=MODEL)
        assert [(item.version, item.cause) for item in listed.transitions] == [
            (TWO, 2),
            (ONE, 3),
            (ONE, 2),
            (TWO, 1),
            (ONE, 1),
        ]
        displaced = listed.transitions[2]
        assert displaced.caused_by == listed.transitions[3].name
        assert displaced.create_time == listed.transitions[3].create_time
        only = await registry.call(
            "PromotionService.ListTransitions",
            parent=MODEL,
            filter=f'cause = ROLLBACK AND version = "{ONE}"',
        )
        assert len(only.transitions) == 1

    with_registry(tmp_path, test)


def test_production_is_entered_first_with_the_run_held_for_good(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        registry.tracking.holds.clear()
        await registry.move("1.0.0", "STAGING")
        assert registry.tracking.holds == []
        await registry.move("1.0.0", "PRODUCTION")
        await registry.move("1.1.0", "PRODUCTION")
        assert registry.tracking.holds == [(RUN, ONE, 2), (RUN, TWO, 2)]
        await registry.tracking_server.stop(None)
        await registry.call("PromotionService.Rollback", name=MODEL)
        await registry.move("1.1.0", "PRODUCTION")

    with_registry(tmp_path, test)


def test_without_the_tracking_service_nothing_new_enters_production(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        before = await registry.ledger()
        await registry.tracking_server.stop(None)
        code, reason, _ = await refusal(registry.move("1.0.0", "PRODUCTION"))
        assert (code, reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
        assert await registry.ledger() == before
        await registry.move("1.0.0", "STAGING")

    with_registry(tmp_path, test)


def test_a_deleted_run_keeps_its_versions_out_of_production(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        registry.tracking.deleted.add(RUN)
        code, reason, metadata = await refusal(registry.move("1.0.0", "PRODUCTION"))
        assert (code, reason) == ("FAILED_PRECONDITION", "RUN_NOT_ACTIVE")
        assert metadata == {"resource": RUN, "state": "DELETED"}

    with_registry(tmp_path, test)


def test_a_refused_promotion_is_in_the_ledger(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        code, reason, metadata = await refusal(
            registry.move("1.0.0", "PRODUCTION", by=TRAINER, reason="please")
        )
        assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        assert metadata["permission"] == "models.promote"
        assert metadata["principal"] == "user:demo:ada"
        entry = (await registry.ledger())[-1]
        assert entry.outcome == ledger_pb2.LEDGER_OUTCOME_REFUSED
        assert (entry.action, entry.resource) == ("version.transition", ONE)
        assert entry.actor.id == "user:demo:ada"
        before = await registry.ledger()
        await refusal(registry.move("1.0.0", "PRODUCTION", by=TRAINER, validate_only=True))
        await refusal(registry.move("9.9.9", "PRODUCTION", by=TRAINER))
        assert await registry.ledger() == before

    with_registry(tmp_path, test)


def test_a_refused_rollback_is_in_the_ledger(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.move("1.0.0", "PRODUCTION")
        await registry.move("1.1.0", "PRODUCTION")
        partial = caller("max", {"models.promote": (MODEL, ONE)})
        _, _, metadata = await refusal(
            registry.call("PromotionService.Rollback", name=MODEL, by=partial)
        )
        assert metadata["resource"] == TWO
        entry = (await registry.ledger())[-1]
        assert (entry.resource, entry.outcome) == (MODEL, 2)
        assert json.loads(entry.content_json)["permission_on"] == TWO

    with_registry(tmp_path, test)


def test_validate_only_changes_nothing(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.move("1.0.0", "PRODUCTION")
        before, holds = await registry.ledger(), list(registry.tracking.holds)
        would = await registry.move("1.1.0", "PRODUCTION", validate_only=True)
        assert would.displaced.name == ONE
        assert not would.HasField("transition")
        _, reason, _ = await refusal(
            registry.move("1.1.0", "PRODUCTION", validate_only=True, expected_production="none")
        )
        assert reason == "PRODUCTION_CHANGED"
        assert await registry.ledger() == before
        assert registry.tracking.holds == holds

    with_registry(tmp_path, test)


def test_a_repeated_request_promotes_once(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        request_id = str(uuid.uuid4())
        fields = {"request_id": request_id, "expected_production": "none"}
        first = await registry.move("1.0.0", "PRODUCTION", **fields)
        await registry.move("1.1.0", "PRODUCTION")
        before = await registry.ledger()
        assert await registry.move("1.0.0", "PRODUCTION", **fields) == first
        assert await registry.ledger() == before

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"to_stage": 0}, "INVALID_ARGUMENT", "FIELD_REQUIRED"),
        ({"to_stage": 99}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"name": f"{MODEL}/versions/one"}, "INVALID_ARGUMENT", "VERSION_INVALID"),
        ({"name": f"{MODEL}/versions/v1.0.0"}, "INVALID_ARGUMENT", "VERSION_INVALID"),
        ({"name": f"{MODEL}/versions/1.0.0+b"}, "INVALID_ARGUMENT", "VERSION_INVALID"),
        ({"name": f"{MODEL}"}, "INVALID_ARGUMENT", "RESOURCE_NAME_INVALID"),
        ({"name": ""}, "INVALID_ARGUMENT", "FIELD_REQUIRED"),
        ({"name": f"{MODEL}/versions/7.0.0"}, "NOT_FOUND", "NOT_FOUND"),
        ({"reason": "x" * 4097}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"request_id": "not a uuid"}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"expected_production": "1.0.0"}, "INVALID_ARGUMENT", "RESOURCE_NAME_INVALID"),
        (
            {"expected_production": f"{PARENT}/models/other/versions/1.0.0"},
            "INVALID_ARGUMENT",
            "FIELD_INVALID",
        ),
        ({"etag": "stale"}, "ABORTED", "ETAG_MISMATCH"),
    ],
)
def test_bad_input_is_named_and_leaves_no_trace(
    tmp_path: Path, fields: dict[str, Any], code: str, reason: str
) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        before = await registry.ledger()
        request = {"name": ONE, "to_stage": 3, **fields}
        answer = await refusal(registry.call("PromotionService.TransitionStage", **request))
        assert answer[:2] == (code, reason)
        assert await registry.ledger() == before

    with_registry(tmp_path, test)


def test_clients_can_check_the_ledger_by_the_contract_alone(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.move("1.0.0", "PRODUCTION", reason="\u201cgood\u201d\n\U0001f377")
        await registry.move("1.1.0", "PRODUCTION")
        previous, last_ns = bytes(32), 0
        for position, entry in enumerate(await registry.ledger(), 1):
            assert entry.position == position
            assert entry.create_time.ToNanoseconds() > last_ns
            assert entry.previous_hash == previous
            assert hash_by_contract(entry) == entry.hash
            assert actor_digest_by_contract(entry) == entry.actor_digest
            previous, last_ns = entry.hash, entry.create_time.ToNanoseconds()

    with_registry(tmp_path, test)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def hash_by_contract(entry: Any) -> bytes:
    members = {
        "action": entry.action,
        "actor_digest": entry.actor_digest.hex(),
        "caused_by": entry.caused_by,
        "content_json": entry.content_json,
        "create_time": entry.create_time.ToMicroseconds(),
        "outcome": ledger_pb2.LedgerOutcome.Name(entry.outcome).removeprefix("LEDGER_OUTCOME_"),
        "position": entry.position,
        "reason": entry.reason,
        "resource": entry.resource,
    }
    return hashlib.sha256(entry.previous_hash + canonical(members)).digest()


def actor_digest_by_contract(entry: Any) -> bytes:
    actor = entry.actor
    members = {
        "display_name": actor.display_name,
        "id": actor.id,
        "issuer": actor.issuer,
        "kind": {1: "USER", 2: "SERVICE", 3: "PIPELINE"}[actor.kind],
        "pipeline_claims": dict(actor.pipeline_claims),
        "subject": actor.subject,
        "token_id": actor.token_id,
    }
    return hashlib.sha256(entry.actor_salt + canonical(members)).digest()
