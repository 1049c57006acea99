"""The calls behind `studbook webhook`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from studbook.cli.paging import collect
from studbook.client import Client
from studbook.registry.v1 import webhook_pb2
from studbook.registry.v1 import webhook_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Sequence


def create(
    name: str, url: str, models: str, events: Sequence[str], description: str
) -> messages.CreateWebhookResponse:
    """Add a webhook."""
    with Client() as client:
        webhook = webhook_pb2.Webhook(
            url=url, models=models, events=events, description=description
        )
        request = messages.CreateWebhookRequest(
            parent=client.workspace, webhook_id=name, webhook=webhook
        )
        return client.webhooks.CreateWebhook(request)


def list_all(filter_text: str, limit: int) -> list[webhook_pb2.Webhook]:
    """As many of the webhooks that match as there are, up to the limit."""
    with Client() as client:
        request = messages.ListWebhooksRequest(parent=client.workspace, filter=filter_text)
        return collect(client.webhooks.ListWebhooks, request, lambda page: page.webhooks, limit)


def delete(name: str) -> None:
    """Delete a webhook."""
    with Client() as client:
        request = messages.DeleteWebhookRequest(
            name=_full(client, name), request_id=str(uuid.uuid4())
        )
        client.webhooks.DeleteWebhook(request)


def set_active(name: str, *, active: bool, skip: bool) -> None:
    """Pause a webhook, or let it go on."""
    with Client() as client:
        state = webhook_pb2.WEBHOOK_STATE_ACTIVE if active else webhook_pb2.WEBHOOK_STATE_PAUSED
        webhook = webhook_pb2.Webhook(name=_full(client, name), state=state)
        request = messages.UpdateWebhookRequest(webhook=webhook, skip_to_present=skip)
        client.webhooks.UpdateWebhook(request)


def rotate(name: str, overlap_hours: float) -> str:
    """Give a webhook a new secret, and return it."""
    with Client() as client:
        request = messages.RotateWebhookSecretRequest(
            name=_full(client, name), overlap=Duration(seconds=round(overlap_hours * 3600))
        )
        return client.webhooks.RotateWebhookSecret(request).secret


def test(name: str) -> messages.TestWebhookResponse:
    """Send a test event."""
    with Client() as client:
        request = messages.TestWebhookRequest(name=_full(client, name))
        # The server waits for the receiver, for a minute at most.
        return client.webhooks.TestWebhook(request, timeout=90)


def list_deliveries(name: str, filter_text: str, limit: int) -> list[webhook_pb2.WebhookDelivery]:
    """As many of the deliveries as there are, up to the limit, the latest first."""
    with Client() as client:
        request = messages.ListDeliveriesRequest(parent=_full(client, name), filter=filter_text)
        return collect(client.webhooks.ListDeliveries, request, lambda page: page.deliveries, limit)


def _full(client: Client, name: str) -> str:
    return name if "/" in name else f"{client.workspace}/webhooks/{name}"
