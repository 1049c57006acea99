"""Webhooks are set up by those who may, and lead nowhere they must not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.registry_service.hooked_registry import (
    HOOK,
    create,
    run,
)
from tests.unit.registry_service.serving_registry import (
    PARENT,
    Registry,
    caller,
    refusal,
)
from tests.unit.registry_service.webhook_receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_is_rotated_without_a_gap(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver() as receiver:
            first = (await create(registry, receiver.url)).secret
            rotated = await registry.call("WebhookService.RotateWebhookSecret", name=HOOK)
            assert [bool(s.expire_time.seconds) for s in rotated.webhook.secrets] == [True, False]
            await registry.call("WebhookService.TestWebhook", name=HOOK)
            assert receiver.received[-1].signed_with(first)
            assert receiver.received[-1].signed_with(rotated.secret)
            last = await registry.call(
                "WebhookService.RotateWebhookSecret", name=HOOK, overlap={"seconds": 0}
            )
            await registry.call("WebhookService.TestWebhook", name=HOOK)
            assert receiver.received[-1].signed_with(last.secret)
            assert not receiver.received[-1].signed_with(first)
            assert not receiver.received[-1].signed_with(rotated.secret)

    run(tmp_path, test)


def test_the_secret_is_shown_once_and_stands_nowhere(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        secret = (await create(registry, "https://example.com/hook")).secret
        assert secret.startswith("whsec_")
        read = await registry.call("WebhookService.GetWebhook", name=HOOK)
        listed = await registry.call("WebhookService.ListWebhooks", parent=PARENT)
        assert secret not in str(read) + str(listed)
        assert [hook.name for hook in listed.webhooks] == [HOOK]
        entries = await registry.ledger()
        assert [entry.action for entry in entries] == ["webhook.create"]
        assert secret not in str(entries)
        shown.append(secret)

    shown: list[str] = []
    run(tmp_path, test)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("registry.db*"))
    assert b"webhook.create" in stored
    assert shown[0].removeprefix("whsec_").encode() not in stored


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "https://ada:secret@example.com",
        "https://example.com/#top",
        "https://",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://exa mple.com",
        "https://example.com:99999",
        "http://8.8.8.8/",
    ],
)
def test_urls_that_must_not_be_called_are_refused(tmp_path: Path, url: str) -> None:
    async def test(registry: Registry) -> None:
        code, _, metadata = await refusal(create(registry, url))
        assert code == "INVALID_ARGUMENT"
        assert metadata["field"] == "webhook.url"

    run(tmp_path, test)


def test_plain_http_is_refused_where_no_network_is_allowed(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        code, _, metadata = await refusal(create(registry, "http://example.com"))
        assert (code, metadata["field"]) == ("INVALID_ARGUMENT", "webhook.url")

    run(tmp_path, test, webhook_allowed_networks=[])


@pytest.mark.parametrize("name", ["localhost", "0x7f000001", "2130706433", "127.1"])
def test_names_that_lead_inside_are_not_called(tmp_path: Path, name: str) -> None:
    async def test(registry: Registry) -> None:
        with Receiver() as receiver:
            await create(registry, receiver.url.replace("http://127.0.0.1", f"https://{name}"))
            answer = await registry.call("WebhookService.TestWebhook", name=HOOK)
            assert "is not a public address" in answer.attempt.error
            assert not receiver.received

    run(tmp_path, test, webhook_allowed_networks=[])


def test_whoever_has_a_webhook_must_be_allowed_to_read_the_models(tmp_path: Path) -> None:
    half = caller(
        "half",
        {"webhooks.write": ("workspaces/main/**",), "models.read": ("workspaces/main/models/a*",)},
    )

    async def test(registry: Registry) -> None:
        call = "WebhookService.CreateWebhook"
        hook = {"url": "https://example.com", "models": "a*"}
        await registry.call(call, by=half, parent=PARENT, webhook_id="a", webhook=hook)
        for models in ("", "b", "*"):
            other = {**hook, "models": models}
            asked = registry.call(call, by=half, parent=PARENT, webhook_id="b", webhook=other)
            assert (await refusal(asked))[:2] == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        changed = registry.call(
            "WebhookService.UpdateWebhook",
            by=half,
            webhook={"name": f"{PARENT}/webhooks/a", "models": "b"},
        )
        assert (await refusal(changed))[:2] == ("PERMISSION_DENIED", "PERMISSION_MISSING")

    run(tmp_path, test)


def test_changes_are_in_the_ledger_and_guarded_by_etags(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        made = (await create(registry, "https://example.com")).webhook
        changed = await registry.call(
            "WebhookService.UpdateWebhook",
            webhook={"name": HOOK, "description": "for ops", "etag": made.etag},
        )
        assert changed.webhook.description == "for ops"
        assert changed.webhook.url == "https://example.com"
        stale = registry.call("WebhookService.DeleteWebhook", name=HOOK, etag=made.etag)
        assert (await refusal(stale))[:2] == ("ABORTED", "ETAG_MISMATCH")
        await registry.call("WebhookService.DeleteWebhook", name=HOOK)
        gone = registry.call("WebhookService.GetWebhook", name=HOOK)
        assert (await refusal(gone))[:2] == ("NOT_FOUND", "NOT_FOUND")
        entries = list(reversed(await registry.ledger()))
        assert {entry.action for entry in entries} == {
            "webhook.create",
            "webhook.update",
            "webhook.delete",
        }
        update = next(entry for entry in entries if entry.action == "webhook.update")
        content = json.loads(update.content_json)
        assert (content["before"]["description"], content["after"]["description"]) == (
            "",
            "for ops",
        )

    run(tmp_path, test)


def test_names_are_given_once_and_not_too_many(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await create(registry, "https://example.com")
        again = create(registry, "https://example.com")
        assert (await refusal(again))[:2] == ("ALREADY_EXISTS", "ALREADY_EXISTS")
        more = registry.call(
            "WebhookService.CreateWebhook",
            parent=PARENT,
            webhook_id="more",
            webhook={"url": "https://example.com"},
        )
        assert (await refusal(more))[:2] == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")

    run(tmp_path, test, webhooks=1)


def test_without_a_key_there_are_no_webhooks(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        asked = create(registry, "https://example.com")
        assert (await refusal(asked))[:2] == ("FAILED_PRECONDITION", "WEBHOOKS_NOT_SET_UP")

    run(tmp_path, test, webhook_key_file=None)
