"""What ops services call: resolving and fetching, with the permission of one who is served only."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

ONE = f"{MODEL}/versions/1.0.0"
TWO = f"{MODEL}/versions/1.1.0"
SERVED = caller("ops", {"models.serve": ("**",)})
BIG = bytes(range(256)) * 10_000  # 2.56 MB: three pieces


async def prepare(registry: Registry) -> None:
    files = {"model/a.bin": BIG, "model/empty": b"", "model/z.txt": b"small"}
    registry.add_run(files)
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    await registry.register("1.0.0")
    await registry.register("1.1.0")


async def resolve(registry: Registry, **fields: Any) -> Any:
    return await registry.call("ServingService.ResolveVersion", model=MODEL, **fields)


def test_nothing_named_means_production(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        code, reason, metadata = await refusal(resolve(registry, by=SERVED))
        assert (code, reason) == ("NOT_FOUND", "STAGE_EMPTY")
        assert metadata == {"model": MODEL, "stage": "PRODUCTION"}
        moved = await registry.move("1.0.0", "PRODUCTION")
        answer = await resolve(registry, by=SERVED)
        assert answer.version.name == ONE
        assert answer.stage_start_time == moved.transition.create_time
        assert answer.ledger_position == moved.ledger_position
        assert not answer.HasField("stage_end_time")

    with_registry(tmp_path, test)


def test_the_past_is_answered_to_the_microsecond(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        first = await registry.move("1.0.0", "PRODUCTION")
        second = await registry.move("1.1.0", "PRODUCTION")
        start, change = first.transition.create_time, second.transition.create_time
        answer = await resolve(registry, at=shifted(change, -1))
        assert answer.version.name == ONE
        assert (answer.stage_start_time, answer.stage_end_time) == (start, change)
        assert answer.version.stage == 4
        answer = await resolve(registry, at=change)
        assert answer.version.name == TWO
        code, reason, metadata = await refusal(resolve(registry, at=shifted(start, -1)))
        assert (code, reason) == ("NOT_FOUND", "STAGE_EMPTY")
        assert metadata["time"].endswith("Z")
        future = Timestamp(seconds=change.seconds + 3600)
        _, reason, metadata = await refusal(resolve(registry, at=future))
        assert (reason, metadata["field"]) == ("FIELD_INVALID", "at")
        beyond = Timestamp(seconds=2**62)
        assert (await refusal(resolve(registry, at=beyond)))[1] == "FIELD_INVALID"
        before = Timestamp(seconds=-(2**62))
        assert (await refusal(resolve(registry, at=before)))[1] == "STAGE_EMPTY"
        _, reason, _ = await refusal(resolve(registry, at=change, version="1.0.0"))
        assert reason == "FIELD_INVALID"

    with_registry(tmp_path, test)


def shifted(moment: Timestamp, microseconds: int) -> Timestamp:
    other = Timestamp()
    other.FromMicroseconds(moment.ToMicroseconds() + microseconds)
    return other


def test_an_answer_about_the_past_never_changes(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.move("1.0.0", "PRODUCTION")
        now = Timestamp()
        now.GetCurrentTime()
        moment = shifted(now, 0)
        assert (await resolve(registry, at=moment)).version.name == ONE
        moved = await registry.move("1.1.0", "PRODUCTION")
        assert moved.transition.create_time.ToMicroseconds() > moment.ToMicroseconds()
        assert (await resolve(registry, at=moment)).version.name == ONE

    with_registry(tmp_path, test)


def test_stages_with_several_give_the_one_that_entered_last(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        answer = await resolve(registry, stage="STAGE_NONE")
        assert answer.version.name == TWO
        assert answer.ledger_position == 0
        await registry.move("1.1.0", "STAGING")
        await registry.move("1.0.0", "STAGING")
        assert (await resolve(registry, stage="STAGE_STAGING")).version.name == ONE
        assert (await refusal(resolve(registry, stage=0)))[1] == "FIELD_REQUIRED"
        assert (await refusal(resolve(registry, stage=42)))[1] == "FIELD_INVALID"

    with_registry(tmp_path, test)


def test_who_may_only_be_served_learns_of_production_only(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.move("1.1.0", "PRODUCTION")
        assert (await resolve(registry, by=SERVED, version="v1.1.0")).version.name == TWO
        for fields in (
            {"version": "1.0.0"},
            {"version": "9.9.9"},
            {"stage": "STAGE_NONE"},
            {"at": Timestamp(seconds=1)},
        ):
            code, reason, metadata = await refusal(resolve(registry, by=SERVED, **fields))
            assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
            assert metadata["permission"] == "models.read"
        for name in (ONE, f"{MODEL}/versions/9.9.9"):
            code, _, _ = await refusal(
                registry.stream("ServingService.FetchArtifacts", by=SERVED, version=name)
            )
            assert code == "PERMISSION_DENIED"
        assert await registry.stream("ServingService.FetchArtifacts", by=SERVED, version=TWO)

    with_registry(tmp_path, test)


def test_files_come_one_after_the_other(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        messages = await registry.stream("ServingService.FetchArtifacts", version=ONE)
        begins = [message.file.path for message in messages if message.HasField("file")]
        assert begins == ["a.bin", "empty", "z.txt"]
        assert [len(message.data) for message in messages] == [
            1 << 20,
            1 << 20,
            len(BIG) - (2 << 20),
            0,
            5,
        ]
        assert b"".join(message.data for message in messages[:3]) == BIG
        rest = await registry.stream(
            "ServingService.FetchArtifacts",
            version=ONE,
            paths=["a.bin"],
            read_offset=len(BIG) - 10,
        )
        assert [message.data for message in rest] == [BIG[-10:]]
        at_the_end = await registry.stream(
            "ServingService.FetchArtifacts", version=ONE, paths=["z.txt"], read_offset=5
        )
        assert [(message.file.path, message.data) for message in at_the_end] == [("z.txt", b"")]

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"paths": ["absent"]}, "NOT_FOUND", "NOT_FOUND"),
        ({"paths": ["../a.bin"]}, "INVALID_ARGUMENT", "ARTIFACT_PATH_INVALID"),
        ({"paths": ["z.txt"], "read_offset": 6}, "OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE"),
        ({"paths": ["z.txt"], "read_offset": -1}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"read_offset": 1}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"paths": ["z.txt", "a.bin"], "read_offset": 1}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"version": f"{MODEL}/versions/9.0.0"}, "NOT_FOUND", "NOT_FOUND"),
    ],
)
def test_bad_fetches(tmp_path: Path, fields: dict[str, Any], code: str, reason: str) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        request = {"version": ONE, **fields}
        answer = await refusal(registry.stream("ServingService.FetchArtifacts", **request))
        assert answer[:2] == (code, reason)

    with_registry(tmp_path, test)


@pytest.mark.parametrize("harm", ["altered", "cut off", "gone"])
def test_bytes_that_went_bad_are_not_delivered_whole(tmp_path: Path, harm: str) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        digest = hashlib.sha256(b"small").hexdigest()
        stored = tmp_path / "artifacts" / "sha256" / digest[:2] / digest
        stored.chmod(0o600)
        if harm == "gone":
            stored.unlink()
        else:
            stored.write_bytes(b"Small" if harm == "altered" else b"sma")
        code, reason, metadata = await refusal(
            registry.stream("ServingService.FetchArtifacts", version=ONE, paths=["z.txt"])
        )
        assert (code, reason) == ("DATA_LOSS", "BLOB_CORRUPT")
        assert metadata == {"digest": f"sha256:{digest}"}

    with_registry(tmp_path, test)


def test_versions_that_are_not_ready_are_not_delivered(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        registry.add_run({"model/a.bin": b"a"}, stored=False)
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
        await registry.register("1.0.0")
        _, reason, _ = await refusal(registry.stream("ServingService.FetchArtifacts", version=ONE))
        assert reason == "VERSION_NOT_READY"

    with_registry(tmp_path, test)
