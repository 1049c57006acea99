"""Webhooks and their deliveries, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service_chassis.caller import Principal


class WebhookState(IntEnum):
    """Whether a webhook is told; the numbers are those of the contract."""

    ACTIVE = 1
    PAUSED = 2


@dataclass(frozen=True, slots=True)
class SecretPeriod:
    """When deliveries are signed with a secret; `expire_us` is None for the latest."""

    number: int
    create_us: int
    expire_us: int | None = None


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """What people say of a webhook.

    Attributes:
        models: Id or pattern; empty for all.
        events: Types of events; empty for all.
    """

    url: str
    models: str
    events: tuple[str, ...]
    description: str
    state: WebhookState = WebhookState.ACTIVE


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook.

    Attributes:
        told_position: Up to where in the ledger everything was delivered.
        failures: Deliveries that failed one after the other.
        failing_since_us: Since when; None while deliveries arrive.
        next_attempt_us: Nothing is sent before that.
        lease_owner: Which process delivers.
        lease_until_us: Until when no other may.
        change_position: Ledger position of the last change of the settings, secrets or state.
    """

    uid: str
    name: str
    settings: WebhookSettings
    state_reason: str
    secrets: tuple[SecretPeriod, ...]
    creator: Principal
    create_position: int
    create_us: int
    update_us: int
    change_position: int
    told_position: int
    failures: int = 0
    failing_since_us: int | None = None
    next_attempt_us: int = 0
    lease_owner: str = ""
    lease_until_us: int = 0

    @property
    def workspace(self) -> str:
        """Id of the workspace."""
        return self.name.split("/")[1]

    @property
    def etag(self) -> str:
        """Changes with every change, and is never the same for two webhooks."""
        return f"{self.uid[:12]}-{self.change_position}"

    def secrets_at(self, us: int) -> tuple[int, ...]:
        """Numbers of the secrets that sign deliveries at a moment, the latest first."""
        return tuple(
            secret.number
            for secret in reversed(self.secrets)
            if secret.expire_us is None or secret.expire_us > us
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP call; `http_status` is 0 without an answer."""

    start_us: int
    duration_ms: int
    http_status: int = 0
    error: str = ""

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return not self.error


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a webhook."""

    webhook_uid: str
    position: int
    event: str
    resource: str
    attempts: int
    last: Attempt
    next_attempt_us: int | None

    @property
    def message_id(self) -> str:
        """The same in every attempt, and never that of another event or webhook."""
        return message_id(self.webhook_uid, self.position)


def message_id(webhook_uid: str, position: int) -> str:
    """The id of a message: which change, told to which webhook."""
    return f"msg_{webhook_uid.replace('-', '')}_{position}"


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How deliveries are repeated and kept.

    Attributes:
        first_pause_us: How long to wait after the first failure; doubled with each, up to an hour.
        give_up_us: A webhook is paused when deliveries have failed for so long.
        keep: How many deliveries of a webhook are kept.
    """

    first_pause_us: int
    give_up_us: int
    keep: int
