"""Webhooks as messages of the contract, and read from requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from registry_service.public_addresses import is_public, is_within, read_address
from registry_service.watch_conversion import check_models
from registry_service.webhook_events import EVENTS
from registry_service.webhook_records import WebhookSettings, WebhookState
from service_chassis.errors import invalid_field, required_field
from service_chassis.principal_message import principal_message
from service_chassis.timestamps import to_timestamp
from service_chassis.validation import LONGEST_DESCRIPTION, check_count, check_text
from studbook.registry.v1 import webhook_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.public_addresses import Network
    from registry_service.webhook_records import Attempt, Delivery, Webhook

_LONGEST_URL = 2048
_PRINTABLE = re.compile(r"[!-~]+")
_STATES = {
    state: webhook_pb2.WebhookState.Value(f"WEBHOOK_STATE_{state.name}") for state in WebhookState
}


def check_url(url: str, field: str, allowed: Sequence[Network]) -> str:
    """Return where a webhook may be told.

    What a name leads to is looked at with every call; this refuses what can be seen at once.

    Args:
        url: The URL.
        field: The request field it came in.
        allowed: Networks that may be called although they are not public, and without TLS.

    Raises:
        StudbookError: FIELD_REQUIRED or FIELD_INVALID.
    """
    if not url:
        raise required_field(field, "give the https:// address to POST to")
    check_text(url, field, _LONGEST_URL)
    remedy = _fault(url, allowed)
    if remedy:
        raise invalid_field(field, url, remedy)
    return url


def _fault(url: str, allowed: Sequence[Network]) -> str:
    """What is wrong with a URL; empty when nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "that is not a URL"
    if not _PRINTABLE.fullmatch(url) or not host:
        return "give a URL of printable ASCII characters, such as https://example.com/hook"
    if parts.username is not None or parts.password is not None:
        return "leave out user name and password; deliveries are signed"
    if parts.fragment:
        return "leave out what stands behind #"
    if parts.scheme == "https" or (parts.scheme == "http" and allowed):
        return _fault_of_host(host, allowed, public=parts.scheme == "https")
    return "it must begin with https://"


def _fault_of_host(host: str, allowed: Sequence[Network], *, public: bool) -> str:
    try:
        address = read_address(host)
    except ValueError:
        return ""
    if is_within(address, allowed) or (public and is_public(address)):
        return ""
    return "that address may not be called; the server's settings can allow its network"


def read_settings(message: webhook_pb2.Webhook, allowed: Sequence[Network]) -> WebhookSettings:
    """What people say of a webhook.

    Raises:
        StudbookError: INVALID_ARGUMENT.
    """
    check_count(message.events, "webhook.events", len(EVENTS))
    for index, event in enumerate(message.events):
        if event not in EVENTS.values():
            remedy = f"there are {', '.join(EVENTS.values())}"
            raise invalid_field(f"webhook.events[{index}]", event, remedy)
    return WebhookSettings(
        url=check_url(message.url, "webhook.url", allowed),
        models=check_models(message.models, "webhook.models"),
        events=tuple(sorted(set(message.events))),
        description=check_text(message.description, "webhook.description", LONGEST_DESCRIPTION),
        state=_read_state(message.state),
    )


def _read_state(number: int) -> WebhookState:
    if number == webhook_pb2.WEBHOOK_STATE_UNSPECIFIED:
        return WebhookState.ACTIVE
    try:
        return WebhookState(number)
    except ValueError:
        raise invalid_field("webhook.state", number, "give ACTIVE or PAUSED") from None


def to_settings_message(webhook: Webhook) -> webhook_pb2.Webhook:
    """What people said of a webhook, as a message to change."""
    settings = webhook.settings
    return webhook_pb2.Webhook(
        name=webhook.name,
        url=settings.url,
        models=settings.models,
        events=settings.events,
        description=settings.description,
        state=_STATES[settings.state],
    )


def to_webhook(webhook: Webhook) -> webhook_pb2.Webhook:
    """A webhook as the contract shows it."""
    message = to_settings_message(webhook)
    message.MergeFrom(
        webhook_pb2.Webhook(
            state_reason=webhook.state_reason,
            ledger_position=webhook.told_position,
            failing_since_time=to_timestamp(webhook.failing_since_us),
            secrets=[
                webhook_pb2.WebhookSecret(
                    number=secret.number,
                    create_time=to_timestamp(secret.create_us),
                    expire_time=to_timestamp(secret.expire_us),
                )
                for secret in webhook.secrets
            ],
            creator=principal_message(webhook.creator),
            create_time=to_timestamp(webhook.create_us),
            update_time=to_timestamp(webhook.update_us),
            etag=webhook.etag,
        )
    )
    return message


def to_attempt(attempt: Attempt) -> webhook_pb2.WebhookAttempt:
    """One HTTP call as the contract shows it."""
    return webhook_pb2.WebhookAttempt(
        start_time=to_timestamp(attempt.start_us),
        duration_ms=attempt.duration_ms,
        http_status=attempt.http_status,
        error=attempt.error,
    )


def to_delivery(delivery: Delivery) -> webhook_pb2.WebhookDelivery:
    """A delivery as the contract shows it."""
    return webhook_pb2.WebhookDelivery(
        id=delivery.message_id,
        event=delivery.event,
        ledger_position=delivery.position,
        resource=delivery.resource,
        delivered=delivery.last.delivered,
        attempts=delivery.attempts,
        last_attempt=to_attempt(delivery.last),
        next_attempt_time=to_timestamp(delivery.next_attempt_us),
    )
