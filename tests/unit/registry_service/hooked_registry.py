"""A registry that may call webhooks on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.unit.registry_service.serving_registry import PARENT, Registry, with_registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

HOOK = f"{PARENT}/webhooks/ops"


def run(tmp_path: Path, test: Callable[[Registry], Awaitable[None]], **settings: Any) -> None:
    key = tmp_path / "webhook-key"
    key.write_bytes(b"k" * 32)
    given = {
        "webhook_key_file": key,
        "webhook_allowed_networks": ["127.0.0.0/8"],
        "webhook_retry_seconds": 0.02,
        **settings,
    }
    with_registry(tmp_path, test, **given)


async def prepare(registry: Registry, *numbers: str) -> None:
    registry.add_run({"model/model.joblib": b"a model"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    for number in numbers:
        await registry.register(number)


async def create(registry: Registry, url: str, **fields: Any) -> Any:
    return await registry.call(
        "WebhookService.CreateWebhook",
        parent=PARENT,
        webhook_id="ops",
        webhook={"url": url, **fields},
    )


async def deliveries(registry: Registry) -> list[Any]:
    answer = await registry.call("WebhookService.ListDeliveries", parent=HOOK)
    return list(answer.deliveries)


async def told(registry: Registry, position: int) -> Any:
    """The webhook once it was told up to a position."""
    return await read_until(registry, lambda hook: bool(hook.ledger_position >= position))


async def paused(registry: Registry) -> Any:
    """The webhook once it is paused."""
    return await read_until(registry, lambda hook: bool(hook.state == 2))


async def read_until(registry: Registry, holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(30):
        while True:
            hook = (await registry.call("WebhookService.GetWebhook", name=HOOK)).webhook
            if holds(hook):
                return hook
