"""What a denial takes away of models is neither shown, told of nor made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.unit.registry_service.hooked_registry import run
from tests.unit.registry_service.serving_registry import PARENT, Registry, caller, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from service_chassis.caller import Caller


def test_webhook_for_several_models_takes_that_none_of_them_is_denied(tmp_path: Path) -> None:
    limited = replace(
        caller("limited"), denials={"models.read": ("workspaces/main/models/secret-*/**",)}
    )

    async def test(registry: Registry) -> None:
        call = "WebhookService.CreateWebhook"
        for number, models in enumerate(("", "*", "s*", "secret-plan", "*-plan")):
            hook = {"url": "https://example.com", "models": models}
            asked = registry.call(
                call, by=limited, parent=PARENT, webhook_id=f"h{number}", webhook=hook
            )
            assert (await refusal(asked))[:2] == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        hook = {"url": "https://example.com", "models": "wine-*"}
        await registry.call(call, by=limited, parent=PARENT, webhook_id="h", webhook=hook)

    run(tmp_path, test)


def test_denied_model_is_neither_listed_nor_made(tmp_path: Path) -> None:
    secret = "workspaces/main/models/secret"
    taken: dict[str, tuple[str, ...]] = {}
    for permission in ("models.read", "models.write"):
        taken[permission] = (f"{secret}/**",)
    limited = replace(caller("limited"), denials=taken)

    async def test(registry: Registry) -> None:
        async def make(model: str, by: Caller) -> Any:
            return await registry.call(
                "ModelService.CreateModel", by=by, parent=PARENT, model_id=model, model={}
            )

        assert (await refusal(make("secret", limited)))[0] == "PERMISSION_DENIED"
        await make("secret", caller("grace"))
        await make("wine", limited)
        listed = await registry.call("ModelService.ListModels", by=limited, parent=PARENT)
        assert [model.name for model in listed.models] == ["workspaces/main/models/wine"]
        asked = registry.call("ModelService.GetModel", by=limited, name=secret)
        assert (await refusal(asked))[0] == "PERMISSION_DENIED"

    run(tmp_path, test)
