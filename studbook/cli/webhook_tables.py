"""Webhooks and deliveries as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.references import last_segment
from studbook.registry.v1.webhook_pb2 import WebhookState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.registry.v1.webhook_pb2 import Webhook, WebhookAttempt, WebhookDelivery


def print_webhooks(webhooks: Iterable[Webhook]) -> None:
    """Webhooks, one a line."""
    rows = (
        (
            last_segment(webhook.name),
            _state(webhook),
            str(webhook.ledger_position),
            webhook.models or "*",
            ",".join(webhook.events) or "*",
            webhook.url,
        )
        for webhook in webhooks
    )
    output.print_table(("WEBHOOK", "STATE", "TOLD UP TO", "MODELS", "EVENTS", "URL"), rows)


def _state(webhook: Webhook) -> str:
    if webhook.state != WebhookState.WEBHOOK_STATE_ACTIVE:
        return f"paused: {webhook.state_reason}" if webhook.state_reason else "paused"
    if webhook.HasField("failing_since_time"):
        return f"failing since {output.row_time(webhook.failing_since_time)}"
    return "active"


def print_deliveries(deliveries: Iterable[WebhookDelivery]) -> None:
    """Deliveries, one a line."""
    rows = (
        (
            str(delivery.ledger_position),
            delivery.event,
            "delivered" if delivery.delivered else "failed",
            str(delivery.attempts),
            output.row_time(delivery.last_attempt.start_time),
            f"{delivery.last_attempt.duration_ms} ms",
            output.row_time(delivery.next_attempt_time),
            delivery.last_attempt.error or output.MISSING,
        )
        for delivery in deliveries
    )
    headings = ("ENTRY", "EVENT", "OUTCOME", "ATTEMPTS", "LAST", "TOOK", "NEXT", "ERROR")
    output.print_table(headings, rows)


def print_attempt(attempt: WebhookAttempt) -> None:
    """How a test went."""
    output.print_fields(
        (
            ("Status", str(attempt.http_status or output.MISSING)),
            ("Took", f"{attempt.duration_ms} ms"),
            ("Error", attempt.error),
        )
    )
