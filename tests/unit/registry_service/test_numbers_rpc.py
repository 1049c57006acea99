"""Numbers over the wire: the next one when registering, ranges when resolving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

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

SERVED = caller("ops", {"models.serve": ("**",)})
KEY = "6f1c1b1e-8d0a-4f5e-9a57-0d6f1f2b3c4d"


async def prepare(registry: Registry, *numbers: str) -> None:
    registry.add_run({"model/a.bin": b"a"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    for number in numbers:
        await registry.register(number)


async def register_next(registry: Registry, part: str, **fields: Any) -> str:
    answer = await registry.call(
        "ModelService.CreateVersion",
        parent=MODEL,
        source_run=RUN,
        artifact_paths=["model"],
        bump=f"VERSION_BUMP_{part}",
        **fields,
    )
    return str(answer.version.version)


async def in_range(registry: Registry, text: str, **fields: Any) -> str:
    answer = await registry.call("ServingService.ResolveVersion", model=MODEL, range=text, **fields)
    return str(answer.version.version)


@pytest.mark.parametrize(
    ("part", "first", "later"),
    [
        ("PATCH", "0.0.1", "1.10.4"),
        ("MINOR", "0.1.0", "1.11.0"),
        ("MAJOR", "1.0.0", "2.0.0"),
    ],
)
def test_the_next_number_follows_the_highest_release(
    tmp_path: Path, part: str, first: str, later: str
) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        assert await register_next(registry, part) == first
        for number in ("1.9.0", "1.10.3", "1.10.9-rc.1", "2.0.0-rc.1"):
            await registry.register(number)
        preview = await register_next(registry, part, validate_only=True)
        assert preview == later
        assert await register_next(registry, part, request_id=KEY) == later
        assert await register_next(registry, part, request_id=KEY) == later

    with_registry(tmp_path, test)


def test_numbers_of_deleted_versions_stay_taken(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        await registry.call("ModelService.DeleteVersion", name=f"{MODEL}/versions/1.0.0")
        assert await register_next(registry, "PATCH") == "1.0.1"
        await registry.call("ModelService.DeleteVersion", name=f"{MODEL}/versions/1.0.1")
        await registry.call("ModelService.DeleteModel", name=MODEL, request_id=KEY)
        await registry.call("ModelService.DeleteModel", name=MODEL, request_id=KEY)
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
        assert await register_next(registry, "PATCH") == "1.0.2"

    with_registry(tmp_path, test)


def test_each_of_many_at_once_gets_a_number_of_its_own(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        given = await asyncio.gather(*(register_next(registry, "PATCH") for _ in range(8)))
        assert sorted(given) == [f"0.0.{number}" for number in range(1, 9)]

    with_registry(tmp_path, test)


def test_either_a_number_or_the_next_one(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        _, _, metadata = await refusal(register_next(registry, "PATCH", version_id="1.0.0"))
        assert metadata["field"] == "version_id"
        neither = registry.call(
            "ModelService.CreateVersion", parent=MODEL, source_run=RUN, artifact_paths=["model"]
        )
        assert (await refusal(neither))[1] == "FIELD_REQUIRED"
        unknown = registry.call(
            "ModelService.CreateVersion",
            parent=MODEL,
            source_run=RUN,
            artifact_paths=["model"],
            bump=9,
        )
        assert (await refusal(unknown))[2]["field"] == "bump"

    with_registry(tmp_path, test)


def test_a_range_gives_the_highest_ready_version(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.1.0", "1.2.0", "1.2.10", "1.2.9", "1.3.0-rc.1", "2.0.0")
        broken = f"{PARENT}/experiments/wine/runs/broken"
        registry.add_run({"model/lost.bin": b"lost"}, broken, stored=False)
        await registry.register("1.2.11", source_run=broken)
        assert await in_range(registry, "~1.2") == "1.2.10"
        assert await in_range(registry, "^1") == "1.2.10"
        assert await in_range(registry, ">=1.0 <2") == "1.2.10"
        assert await in_range(registry, "1.x") == "1.2.10"
        assert await in_range(registry, "1.1") == "1.1.0"
        assert await in_range(registry, ">=1.3.0-rc.1 <2") == "1.3.0-rc.1"
        assert await in_range(registry, ">=1") == "2.0.0"
        await registry.call("ModelService.DeleteVersion", name=f"{MODEL}/versions/1.2.10")
        assert await in_range(registry, "~1.2") == "1.2.9"
        code, reason, metadata = await refusal(in_range(registry, "~3"))
        assert (code, reason) == ("NOT_FOUND", "RANGE_EMPTY")
        assert metadata == {"model": MODEL, "range": "~3"}
        for text in ("latest", "*", "", "1.2.3.4"):
            assert (await refusal(in_range(registry, text)))[0] == "INVALID_ARGUMENT"
        timed = in_range(registry, "~1.2", at=Timestamp(seconds=1))
        assert (await refusal(timed))[2]["field"] == "at"

    with_registry(tmp_path, test)


def test_whoever_is_served_only_gets_what_is_in_production_by_range(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0", "1.1.0")
        await registry.move("1.0.0", "PRODUCTION")
        assert await in_range(registry, "1.0", by=SERVED) == "1.0.0"
        other = await refusal(in_range(registry, "~1", by=SERVED))
        none = await refusal(in_range(registry, "~7", by=SERVED))
        assert other == none
        assert other[1] == "PERMISSION_MISSING"

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("stage", "TransitionStage"),
        ("aliases", "SetAlias"),
        ("files", "never changes"),
        ("source_run", "never changes"),
    ],
)
def test_what_an_update_cannot_change_is_refused_with_what_can(
    tmp_path: Path, path: str, says: str
) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        update = registry.call(
            "ModelService.UpdateVersion",
            version={"name": f"{MODEL}/versions/1.0.0", "stage": "STAGE_PRODUCTION"},
            update_mask={"paths": ["description", path]},
        )
        code, reason, metadata = await refusal(update)
        assert (code, reason) == ("INVALID_ARGUMENT", "UPDATE_MASK_INVALID")
        assert metadata["path"] == path
        with pytest.raises(Exception, match=says):
            await registry.call(
                "ModelService.UpdateVersion",
                version={"name": f"{MODEL}/versions/1.0.0"},
                update_mask={"paths": [path]},
            )

    with_registry(tmp_path, test)
