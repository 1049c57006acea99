"""LedgerService: checkpoints, keys, verification and erasure as callers meet them."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.jwk import OKPKey

from registry_service.tables import metadata
from studbook.certificates.keys import key_id, parse_keys
from studbook.checkpoints import read_checkpoint
from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    SIGNING_KEY,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC: Any = load_pem_public_key(SIGNING_KEY.as_pem(private=False))
KEYS = {key_id(PUBLIC): PUBLIC}
FILES = {"model/model.joblib": b"forest"}
WHOLE = "workspaces/-"


async def prepare(registry: Registry) -> None:
    registry.add_run(FILES)
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    await registry.register("1.0.0")


async def make(registry: Registry) -> Any:
    return await registry.call("LedgerService.CreateCheckpoint", parent=PARENT)


async def verify(registry: Registry, *kept: bytes) -> Any:
    """The last message of a verification."""
    told = await registry.stream("LedgerService.VerifyLedger", parent=WHOLE, checkpoints=kept)
    assert [message.complete for message in told] == [False] * (len(told) - 1) + [True]
    return told[-1]


def change(folder: Path, statement: sa.Executable) -> None:
    """Change the database behind the registry's back."""
    engine = sa.create_engine(f"sqlite:///{folder / 'registry.db'}")
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


def test_checkpoints_are_made_once_for_each_state_and_can_be_read(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        code, reason, _ = await refusal(make(registry))
        assert (code, reason) == ("NOT_FOUND", "NOT_FOUND")
        await prepare(registry)
        first = await make(registry)
        assert not first.unchanged
        again = await make(registry)
        assert again.unchanged
        assert again.checkpoint == first.checkpoint
        entries = await registry.ledger()
        stated = read_checkpoint(first.checkpoint.envelope, KEYS)
        assert (stated.position, stated.hash) == (len(entries), entries[-1].hash)
        await registry.move("1.0.0", "STAGING")
        second = await make(registry)
        assert second.checkpoint.position == len(entries) + 1
        listed = await registry.call("LedgerService.ListCheckpoints", parent=PARENT)
        assert list(listed.checkpoints) == [first.checkpoint, second.checkpoint]
        latest = await registry.call("LedgerService.GetCheckpoint", parent=WHOLE)
        assert latest.checkpoint == second.checkpoint
        at = first.checkpoint.position
        found = await registry.call("LedgerService.GetCheckpoint", parent=WHOLE, position=at)
        assert found.checkpoint == first.checkpoint
        asked = registry.call("LedgerService.GetCheckpoint", parent=WHOLE, position=1)
        assert (await refusal(asked))[0] == "NOT_FOUND"

    with_registry(tmp_path, test)


def test_no_entry_is_ever_made_at_the_time_of_a_checkpoint_or_before(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        made = (await make(registry)).checkpoint
        await registry.move("1.0.0", "STAGING")
        entry = (await registry.ledger())[-1]
        assert entry.create_time.ToMicroseconds() > made.create_time.ToMicroseconds()

    with_registry(tmp_path, test)


def test_checkpoints_are_made_at_an_interval_when_something_happened(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        async with asyncio.timeout(30):
            listed = await registry.call("LedgerService.ListCheckpoints", parent=PARENT)
            while not listed.checkpoints:
                listed = await registry.call("LedgerService.ListCheckpoints", parent=PARENT)
        position = len(await registry.ledger())
        async with asyncio.timeout(30):
            while listed.checkpoints[-1].position < position:
                listed = await registry.call("LedgerService.ListCheckpoints", parent=PARENT)
        positions = [one.position for one in listed.checkpoints]
        assert len(set(positions)) == len(positions)

    with_registry(tmp_path, test, checkpoint_minutes=0.05 / 60)


def test_keys_can_be_changed_and_checkpoints_of_before_hold(tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    kept: list[bytes] = []

    async def before(registry: Registry) -> None:
        await prepare(registry)
        kept.append((await make(registry)).checkpoint.envelope)

    async def after(registry: Registry) -> None:
        await registry.move("1.0.0", "STAGING")
        newest = (await make(registry)).checkpoint
        answer = await registry.call("LedgerService.GetLedgerKeys", by=caller("nobody", {}))
        assert [key.signing for key in answer.keys] == [True, False]
        pem = "".join(key.public_key_pem for key in answer.keys).encode()
        keys = parse_keys(pem, "answer")
        assert list(keys) == [key.key_id for key in answer.keys]
        assert newest.key_id == answer.keys[0].key_id
        for envelope in (*kept, newest.envelope):
            assert read_checkpoint(envelope, keys).ledger == answer.ledger
        assert (await verify(registry, *kept)).checkpoint_count == 3

    with_registry(tmp_path, before)
    trusted.write_bytes(SIGNING_KEY.as_pem(private=False))
    new_key = OKPKey.generate_key("Ed25519")
    (tmp_path / "new.pem").write_bytes(new_key.as_pem(private=True))
    with_registry(tmp_path, after, signing_key=tmp_path / "new.pem", trusted_signing_keys=trusted)


def test_checkpoints_with_a_key_that_is_not_trusted_do_not_fit(tmp_path: Path) -> None:
    async def before(registry: Registry) -> None:
        await prepare(registry)
        await make(registry)

    async def after(registry: Registry) -> None:
        result = await verify(registry)
        assert [finding.place for finding in result.findings] == ["checkpoints"]
        assert "not trusted" in result.findings[0].problem

    with_registry(tmp_path, before)
    (tmp_path / "new.pem").write_bytes(OKPKey.generate_key("Ed25519").as_pem(private=True))
    with_registry(tmp_path, after, signing_key=tmp_path / "new.pem")


def test_sound_registry_verifies_and_an_altered_one_names_the_entry(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.move("1.0.0", "PRODUCTION")
        kept = (await make(registry)).checkpoint
        entries = await registry.ledger()
        sound = await verify(registry, kept.envelope)
        assert (sound.position, sound.hash) == (len(entries), entries[-1].hash)
        assert (sound.finding_count, sound.checkpoint_count) == (0, 2)
        stays = metadata.tables["stays"]
        change(tmp_path, stays.update().where(stays.c.position == 4).values(reason="none"))
        result = await verify(registry)
        (finding,) = result.findings
        assert (finding.position, finding.place, result.finding_count) == (4, "stays", 1)

    with_registry(tmp_path, test)


def test_writers_go_on_while_the_ledger_is_verified(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        running = asyncio.create_task(verify(registry))
        for stage in ("STAGING", "NONE") * 10:
            await registry.move("1.0.0", stage)
            if running.done():
                assert running.result().finding_count == 0
                running = asyncio.create_task(verify(registry))
        assert (await running).finding_count == 0

    with_registry(tmp_path, test)


def test_part_of_the_ledger_cannot_be_verified_and_takes_permission(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        asked = registry.stream("LedgerService.VerifyLedger", parent=PARENT)
        code, reason, details = await refusal(asked)
        assert (code, reason, details["field"]) == ("INVALID_ARGUMENT", "FIELD_INVALID", "parent")
        reader = caller("reader", {"ledger.read": (f"{PARENT}/**",)})
        asked = registry.stream("LedgerService.VerifyLedger", parent=WHOLE, by=reader)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    with_registry(tmp_path, test)


def test_erasing_twice_with_one_request_id_is_erasing_once(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        given = {
            "parent": WHOLE,
            "principal": "user:demo:grace",
            "reason": "asked to",
            "request_id": str(uuid.uuid4()),
        }
        admin = caller("admin")
        first = await registry.call("LedgerService.ErasePerson", by=admin, **given)
        again = await registry.call("LedgerService.ErasePerson", by=admin, **given)
        assert again == first
        assert first.entry_count == 2
        entries = await registry.ledger()
        assert [entry.actor.id for entry in entries] == [
            "erased",
            "erased",
            "service:studbook:registry",
            "user:demo:admin",
        ]
        assert {entry.erased_by for entry in entries[:2]} == {first.ledger_position}
        version = await registry.call("ModelService.GetVersion", name=f"{MODEL}/versions/1.0.0")
        assert version.version.creator.id == "erased"
        assert (await verify(registry)).finding_count == 0
        asked = registry.call("LedgerService.ErasePerson", by=admin, **given | {"request_id": ""})
        assert (await refusal(asked))[0] == "NOT_FOUND"

    with_registry(tmp_path, test)


def test_remembered_answers_that_name_the_person_are_forgotten(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.call(
            "ModelService.UpdateModel",
            model={"name": MODEL, "description": "by somebody else"},
            request_id=str(uuid.uuid4()),
            by=caller("ada"),
        )
        await registry.call(
            "LedgerService.ErasePerson",
            parent=WHOLE,
            principal="user:demo:grace",
            by=caller("admin"),
        )

    with_registry(tmp_path, test)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with engine.begin() as connection:
        answers = connection.execute(sa.select(metadata.tables["answered_requests"])).all()
    engine.dispose()
    assert all(b"grace" not in bytes(answer.response) for answer in answers)
