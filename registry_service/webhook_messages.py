"""What is sent to webhooks: headers and body as https://www.standardwebhooks.com describes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from registry_service.watch_conversion import to_change
from registry_service.watch_interest import Sight
from registry_service.webhook_events import TEST_EVENT, event_of
from registry_service.webhook_records import message_id
from service_chassis.timestamps import to_timestamp
from studbook._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from registry_service.watch_changes import Change
    from registry_service.webhook_records import Webhook
    from registry_service.webhook_secrets import WebhookSecrets


def event_body(change: Change) -> bytes:
    """The body that tells of a change; the same in every attempt."""
    data = json_format.MessageToDict(to_change(change, Sight.ALL))
    return _body(event_of(change), change.create_us, data)


def trial_body(webhook: Webhook, now_us: int) -> bytes:
    """The body of a test."""
    return _body(TEST_EVENT, now_us, {"webhook": webhook.name})


def trial_message_id(webhook: Webhook, now_us: int) -> str:
    """The id of a test, which is that of no change."""
    return f"{message_id(webhook.uid, 0)}_{now_us}"


def headers(
    secrets: WebhookSecrets, webhook: Webhook, identity: str, body: bytes, now_us: int
) -> Mapping[str, str]:
    """The headers of one attempt.

    Args:
        secrets: Signs.
        webhook: Whom it is for.
        identity: The message's id.
        body: What is sent.
        now_us: When the attempt begins.
    """
    seconds = now_us // 1_000_000
    numbers = webhook.secrets_at(now_us)
    return {
        "content-type": "application/json",
        "user-agent": f"studbook/{__version__}",
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": secrets.sign(webhook.uid, numbers, identity, seconds, body),
    }


def _body(event: str, us: int, data: Mapping[str, Any]) -> bytes:
    moment: Timestamp | None = to_timestamp(us)
    text = moment.ToJsonString() if moment else ""
    content = {"type": event, "timestamp": text, "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
