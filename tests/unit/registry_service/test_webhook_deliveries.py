"""Webhooks are told of changes, signed, in order, at least once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.unit.registry_service.hooked_registry import (
    HOOK,
    create,
    deliveries,
    paused,
    prepare,
    read_until,
    run,
    told,
)
from tests.unit.registry_service.serving_registry import (
    MODEL,
    Registry,
)
from tests.unit.registry_service.webhook_receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path


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
