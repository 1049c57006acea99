"""Setting up webhooks, and what becomes of one when something was sent to it."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from registry_service.ledger import REGISTRY, Draft
from registry_service.webhook_events import event_of
from registry_service.webhook_records import (
    Delivery,
    SecretPeriod,
    Webhook,
    WebhookSettings,
    WebhookState,
)
from service_chassis.errors import already_exists, not_found, quota_exceeded
from service_chassis.etags import check_etag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry_service.canonical_json import JsonObject
    from registry_service.ledger import Entry
    from registry_service.store import RegistryStore
    from registry_service.watch_changes import Change
    from registry_service.webhook_records import Attempt, DeliveryLimits
    from service_chassis.caller import Caller

_LONGEST_PAUSE_US = 3600 * 1_000_000
_GONE = 410


def create_webhook(
    store: RegistryStore, caller: Caller, name: str, settings: WebhookSettings, most: int
) -> Webhook:
    """Add a webhook with its first secret; it is told of what happens from now on.

    Raises:
        StudbookError: ALREADY_EXISTS, or QUOTA_EXCEEDED when the workspace has as many as may be.
    """
    store.ledger.lock()
    check_new(store, name, most)
    uid = str(uuid.uuid4())
    content: JsonObject = {"webhook_uid": uid, "before": None, "after": _in_ledger(settings)}
    entry = store.ledger.append(Draft(caller.principal, "webhook.create", name, content))
    webhook = Webhook(
        uid=uid,
        name=name,
        settings=settings,
        state_reason="",
        secrets=(SecretPeriod(1, entry.create_us),),
        creator=entry.actor,
        create_position=entry.position,
        create_us=entry.create_us,
        update_us=entry.create_us,
        change_position=entry.position,
        told_position=entry.position,
    )
    store.webhooks.insert(webhook)
    return webhook


def check_new(store: RegistryStore, name: str, most: int) -> None:
    """Make sure that a webhook of this name can be added.

    Raises:
        StudbookError: ALREADY_EXISTS or QUOTA_EXCEEDED.
    """
    if store.webhooks.find(name) is not None:
        raise already_exists(name, "change it with UpdateWebhook, or choose another id")
    count = store.webhooks.count(name.split("/")[1])
    if count >= most:
        message = f"The workspace has {count} webhooks, as many as may be; delete one first."
        raise quota_exceeded("webhooks", most, count + 1, message)


def update_webhook(
    store: RegistryStore,
    caller: Caller,
    name: str,
    etag: str,
    settings: WebhookSettings,
    *,
    skip_to_present: bool,
    validate_only: bool,
) -> Webhook:
    """Give a webhook other settings; activated, it goes on where it was paused.

    Raises:
        StudbookError: NOT_FOUND or ETAG_MISMATCH.
    """
    webhook = _lock(store, name, etag)
    if (webhook.settings == settings and not skip_to_present) or validate_only:
        return replace(webhook, settings=settings)
    content: JsonObject = {
        "webhook_uid": webhook.uid,
        "before": _in_ledger(webhook.settings),
        "after": _in_ledger(settings),
        "skipped_to_present": skip_to_present,
    }
    entry = store.ledger.append(Draft(caller.principal, "webhook.update", name, content))
    changed = _changed(webhook, entry)
    if skip_to_present:
        changed = replace(changed, told_position=entry.position)
    changed = replace(
        changed,
        settings=settings,
        state_reason="",
        # What was in the way may have been put right by this.
        failures=0,
        failing_since_us=None,
        next_attempt_us=0,
    )
    store.webhooks.save(changed)
    return changed


def delete_webhook(store: RegistryStore, caller: Caller, name: str, etag: str) -> None:
    """Delete a webhook.

    Raises:
        StudbookError: NOT_FOUND or ETAG_MISMATCH.
    """
    webhook = _lock(store, name, etag)
    content: JsonObject = {
        "webhook_uid": webhook.uid,
        "before": _in_ledger(webhook.settings),
        "after": None,
    }
    store.ledger.append(Draft(caller.principal, "webhook.delete", name, content))
    store.webhooks.delete(webhook)


def rotate_secret(
    store: RegistryStore, caller: Caller, name: str, etag: str, overlap_us: int
) -> Webhook:
    """Give a webhook a new secret; the former ones are used besides for some microseconds more.

    Raises:
        StudbookError: NOT_FOUND or ETAG_MISMATCH.
    """
    webhook = _lock(store, name, etag)
    number = webhook.secrets[-1].number + 1
    content: JsonObject = {"webhook_uid": webhook.uid, "secret": number, "overlap_us": overlap_us}
    entry = store.ledger.append(Draft(caller.principal, "webhook.rotate", name, content))
    secrets = rotated(webhook.secrets, number, entry.create_us, overlap_us)
    changed = replace(_changed(webhook, entry), secrets=secrets)
    store.webhooks.save(changed)
    return changed


def rotated(
    secrets: Iterable[SecretPeriod], number: int, now_us: int, overlap_us: int
) -> tuple[SecretPeriod, ...]:
    """The periods of secrets once there is a new one."""
    ends_us = now_us + overlap_us
    former = (
        replace(secret, expire_us=min(secret.expire_us or ends_us, ends_us))
        for secret in secrets
        if secret.expire_us is None or secret.expire_us > now_us
    )
    return *former, SecretPeriod(number, now_us)


def conclude_delivery(
    store: RegistryStore,
    uid: str,
    owner: str,
    change: Change,
    attempt: Attempt,
    limits: DeliveryLimits,
) -> Webhook | None:
    """Write down how an attempt to deliver went, and what follows from it.

    Returns:
        The webhook as it is now; None when it was deleted, or another process delivers by now.
    """
    webhook = store.webhooks.lock(uid)
    if webhook is None or webhook.lease_owner != owner or webhook.told_position >= change.position:
        return None
    if attempt.delivered:
        webhook = replace(
            webhook,
            told_position=change.position,
            failures=0,
            failing_since_us=None,
            next_attempt_us=0,
        )
    else:
        webhook = _failed(store, webhook, attempt, limits)
    store.webhooks.save(webhook)
    before = store.webhooks.delivery(uid, change.position)
    going_on = not attempt.delivered and webhook.settings.state is WebhookState.ACTIVE
    delivery = Delivery(
        webhook_uid=uid,
        position=change.position,
        event=event_of(change),
        resource=resource_of(change),
        attempts=(before.attempts if before else 0) + 1,
        last=attempt,
        next_attempt_us=webhook.next_attempt_us if going_on else None,
    )
    store.webhooks.save_delivery(delivery, limits.keep)
    return webhook


def resource_of(change: Change) -> str:
    """Name of what a change is about: a version or an alias."""
    return getattr(change.move, "version", "") or getattr(change.move, "name", "")


def pause_us(failures: int, first_pause_us: int) -> float:
    """How long to wait after a number of failures: longer each time, and never quite alike."""
    pause = min(first_pause_us << min(failures - 1, 32), _LONGEST_PAUSE_US)
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing


def _failed(
    store: RegistryStore, webhook: Webhook, attempt: Attempt, limits: DeliveryLimits
) -> Webhook:
    now_us = attempt.start_us + attempt.duration_ms * 1000
    since_us = webhook.failing_since_us or attempt.start_us
    failures = webhook.failures + 1
    failed = replace(
        webhook,
        failures=failures,
        failing_since_us=since_us,
        next_attempt_us=now_us + int(pause_us(failures, limits.first_pause_us)),
    )
    if attempt.http_status == _GONE:
        return _paused(store, failed, "the receiver answered 410, which means: no more")
    if now_us - since_us >= limits.give_up_us:
        hours = (now_us - since_us) / 3.6e9
        reason = f"{failures} deliveries failed in {hours:.1f} hours, the last one: {attempt.error}"
        return _paused(store, failed, reason)
    return failed


def _paused(store: RegistryStore, webhook: Webhook, reason: str) -> Webhook:
    settings = replace(webhook.settings, state=WebhookState.PAUSED)
    content: JsonObject = {
        "webhook_uid": webhook.uid,
        "before": _in_ledger(webhook.settings),
        "after": _in_ledger(settings),
    }
    entry = store.ledger.append(Draft(REGISTRY, "webhook.pause", webhook.name, content, reason))
    return replace(_changed(webhook, entry), settings=settings, state_reason=reason)


def _lock(store: RegistryStore, name: str, etag: str) -> Webhook:
    known = store.webhooks.find(name)
    # Deliveries write to it besides, so it is locked before the ledger, here as there.
    webhook = store.webhooks.lock(known.uid) if known is not None else None
    if webhook is None:
        raise not_found(name)
    check_etag(etag, webhook.etag, name)
    return webhook


def _changed(webhook: Webhook, entry: Entry) -> Webhook:
    return replace(webhook, update_us=entry.create_us, change_position=entry.position)


def _in_ledger(settings: WebhookSettings) -> JsonObject:
    return {
        "url": settings.url,
        "models": settings.models,
        "events": list(settings.events),
        "description": settings.description,
        "state": settings.state.name,
    }
