"""Secrets of webhooks, and the signatures that are made with them.

A secret is not kept anywhere. It follows from a key of the service, the webhook and a number, so
it can be shown once, used ever after, and not be read from the database or a copy of it.
Signatures are those of https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFIX = "whsec_"
_SHORTEST_KEY = 16


class WebhookSecrets:
    """Makes the secrets of webhooks.

    Args:
        key: The key they follow from, 16 bytes or more; the same in all processes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _SHORTEST_KEY:
            message = f"the webhook key must have {_SHORTEST_KEY} bytes or more"
            raise ValueError(message)
        self._key = key

    def secret(self, webhook_uid: str, number: int) -> str:
        """The secret as its receiver gets it, `whsec_{base64}`."""
        return _PREFIX + base64.b64encode(self._bytes(webhook_uid, number)).decode()

    def sign(
        self, webhook_uid: str, numbers: Iterable[int], message_id: str, timestamp: int, body: bytes
    ) -> str:
        """The header `webhook-signature`: one signature for each secret.

        Args:
            webhook_uid: Which webhook.
            numbers: Which of its secrets.
            message_id: The header `webhook-id`.
            timestamp: The header `webhook-timestamp`, in seconds.
            body: What is sent.
        """
        content = f"{message_id}.{timestamp}.".encode() + body
        return " ".join(
            "v1," + base64.b64encode(_mac(self._bytes(webhook_uid, number), content)).decode()
            for number in numbers
        )

    def _bytes(self, webhook_uid: str, number: int) -> bytes:
        return _mac(self._key, f"studbook webhook secret 1\0{webhook_uid}\0{number}".encode())


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
