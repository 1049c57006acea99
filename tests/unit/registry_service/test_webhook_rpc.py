"""Webhooks are told of changes, signed, in order, at least once, and nowhere they must not go."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    Registry,
    caller,
    refusal,
    with_registry,
)
from tests.unit.registry_service.webhook_receiver import Receiver

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


def test_changes_are_told_in_order_and_signed(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver() as receiver:
            await prepare(registry, "1.0.0", "1.1.0")
            made = await create(registry, receiver.url + "/hook")
            await registry.move("1.0.0", "PRODUCTION", reason="good")
            await registry.move("1.1.0", "PRODUCTION")
            await registry.call(
                "AliasService.SetAlias",
                name=f"{MODEL}/aliases/champion",
                version=f"{MODEL}/versions/1.1.0",
            )
            await receiver.receives(4)
            contents = [request.content for request in receiver.received]
            assert [content["type"] for content in contents] == [
                *["version.stage_changed"] * 3,
                "alias.changed",
            ]
            assert contents[0]["data"]["stage"] == {
                "version": f"{MODEL}/versions/1.0.0",
                "fromStage": "STAGE_NONE",
                "toStage": "STAGE_PRODUCTION",
                "cause": "TRANSITION_CAUSE_REQUESTED",
                "digest": contents[0]["data"]["stage"]["digest"],
            }
            assert contents[0]["data"]["reason"] == "good"
            positions = [int(content["data"]["ledgerPosition"]) for content in contents]
            assert positions == sorted(set(positions))
            assert len({request.identity for request in receiver.received}) == 4
            assert all(request.signed_with(made.secret) for request in receiver.received)
            await told(registry, positions[-1])
            listed = await deliveries(registry)
            assert [d.ledger_position for d in listed] == positions[::-1]
            assert all(d.delivered and d.attempts == 1 for d in listed)

    run(tmp_path, test)


def test_what_fails_is_tried_again_with_the_same_id(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver(answer=lambda count, _: 500 if count < 3 else 200) as receiver:
            await prepare(registry, "1.0.0")
            await create(registry, receiver.url)
            await registry.move("1.0.0", "STAGING")
            await registry.move("1.0.0", "PRODUCTION")
            await receiver.receives(5)
            identities = [request.identity for request in receiver.received]
            assert len(set(identities[:4])) == 1
            assert identities[4] not in identities[:4]
            assert len({request.body for request in receiver.received[:4]}) == 1
            hook = await told(
                registry, int(receiver.received[-1].content["data"]["ledgerPosition"])
            )
            assert not hook.HasField("failing_since_time")
            assert [d.attempts for d in await deliveries(registry)] == [1, 4]

    run(tmp_path, test)


def test_failing_for_long_pauses_it_and_says_so(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        accepting: list[bool] = []
        with Receiver(answer=lambda *_: 200 if accepting else 503) as receiver:
            await prepare(registry, "1.0.0")
            await create(registry, receiver.url)
            await registry.move("1.0.0", "STAGING")
            hook = await paused(registry)
            assert "503" in hook.state_reason
            pause = [e for e in await registry.ledger() if e.action == "webhook.pause"]
            assert [entry.actor.id for entry in pause] == ["service:studbook:registry"]
            assert not (await deliveries(registry))[0].HasField("next_attempt_time")
            # Going on, it is told what it missed.
            accepting.append(True)
            before = len(receiver.received)
            await registry.call("WebhookService.UpdateWebhook", webhook={"name": HOOK, "state": 1})
            await receiver.receives(before + 1)
            assert receiver.received[-1].content["data"]["stage"]["toStage"] == "STAGE_STAGING"

    run(tmp_path, test, webhook_pause_hours=0.1 / 3600)


def test_gone_pauses_it_at_once(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver(answer=lambda *_: 410) as receiver:
            await prepare(registry, "1.0.0")
            await create(registry, receiver.url)
            await registry.move("1.0.0", "STAGING")
            hook = await paused(registry)
            assert "410" in hook.state_reason
            assert len(receiver.received) == 1

    run(tmp_path, test)


def test_what_happened_in_a_pause_can_be_left_out(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver() as receiver:
            await prepare(registry, "1.0.0")
            await create(registry, receiver.url, state=2)
            await registry.move("1.0.0", "STAGING")
            await registry.call(
                "WebhookService.UpdateWebhook",
                webhook={"name": HOOK, "state": 1},
                skip_to_present=True,
            )
            await registry.move("1.0.0", "PRODUCTION")
            await receiver.receives(1)
            assert receiver.received[0].content["data"]["stage"]["toStage"] == "STAGE_PRODUCTION"

    run(tmp_path, test)


def test_only_what_is_wanted_is_told(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver() as receiver:
            await prepare(registry, "1.0.0")
            await create(registry, receiver.url, models="wine-*", events=["alias.changed"])
            await registry.move("1.0.0", "STAGING")
            await registry.call(
                "AliasService.SetAlias",
                name=f"{MODEL}/aliases/champion",
                version=f"{MODEL}/versions/1.0.0",
            )
            await receiver.receives(1)
            assert receiver.received[0].content["type"] == "alias.changed"

    run(tmp_path, test)


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    async def before(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        await create(registry, receiver.url)
        await registry.move("1.0.0", "STAGING")
        await read_until(registry, lambda hook: hook.HasField("failing_since_time"))

    async def after(registry: Registry) -> None:
        await registry.move("1.0.0", "ARCHIVED")
        await receiver.receives(failed + 2)

    down = [True]
    with Receiver(answer=lambda *_: 500 if down else 200) as receiver:
        run(tmp_path, before, webhook_retry_seconds=0.2)
        down.clear()
        failed = len(receiver.received)
        run(tmp_path, after, webhook_retry_seconds=0.2)
        taken = receiver.received[failed:]
        stages = [request.content["data"]["stage"]["toStage"] for request in taken]
        assert stages == ["STAGE_STAGING", "STAGE_ARCHIVED"]
        assert taken[0].identity == receiver.received[0].identity


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver(answer=lambda *_: 307) as receiver:
            await prepare(registry)
            await create(registry, receiver.url)
            answer = await registry.call("WebhookService.TestWebhook", name=HOOK)
            assert not answer.delivered
            assert answer.attempt.http_status == 307
            assert len(receiver.received) == 1

    run(tmp_path, test)


def test_a_test_event_is_signed_and_tells_how_it_went(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        with Receiver() as receiver:
            made = await create(registry, receiver.url)
            answer = await registry.call("WebhookService.TestWebhook", name=HOOK)
            assert answer.delivered
            assert answer.attempt.http_status == 204
            (request,) = receiver.received
            assert request.content["type"] == "webhook.test"
            assert request.signed_with(made.secret)

    run(tmp_path, test)


def test_a_receiver_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        await create(registry, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        answer = await registry.call("WebhookService.TestWebhook", name=HOOK)
        assert answer.attempt.error == "no answer within 0.3 s"
        server.close()

    run(tmp_path, test, webhook_timeout_seconds=0.3)


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
