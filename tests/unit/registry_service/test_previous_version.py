"""`previous` names the version that was in Production before the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

SERVED = caller("ops", {"models.serve": ("**",)})


async def previous(registry: Registry, **fields: Any) -> str:
    answer = await registry.call(
        "ServingService.ResolveVersion", model=MODEL, alias="previous", **fields
    )
    return str(answer.version.version)


def test_it_follows_promotions_and_rollbacks(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
        registry.add_run({"model/m.bin": b"m"})
        for number in ("1.0.0", "1.1.0", "1.2.0"):
            await registry.register(number)
        assert (await refusal(previous(registry)))[:2] == ("NOT_FOUND", "STAGE_EMPTY")
        await registry.move("1.0.0", "PRODUCTION")
        assert (await refusal(previous(registry)))[:2] == ("NOT_FOUND", "STAGE_EMPTY")
        await registry.move("1.1.0", "PRODUCTION")
        assert await previous(registry) == "1.0.0"
        await registry.move("1.2.0", "PRODUCTION")
        assert await previous(registry) == "1.1.0"
        await registry.call("PromotionService.Rollback", name=MODEL)
        assert await previous(registry) == "1.2.0"
        await registry.move("1.1.0", "ARCHIVED")
        assert await previous(registry) == "1.1.0"

    with_registry(tmp_path, test)


def test_it_is_for_those_who_may_read_the_model_and_for_now(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
        reason = (await refusal(previous(registry, by=SERVED)))[1]
        assert reason == "PERMISSION_MISSING"
        reason = (await refusal(previous(registry, at={"seconds": 1_700_000_000})))[1]
        assert reason == "FIELD_INVALID"

    with_registry(tmp_path, test)
