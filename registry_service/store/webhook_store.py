"""The tables of webhooks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors
from registry_service.webhook_records import (
    Attempt,
    Delivery,
    SecretPeriod,
    Webhook,
    WebhookSettings,
    WebhookState,
)
from registry_service.webhook_tables import webhook_deliveries, webhooks
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.listing import PageRequest

FIELDS = FieldTable(
    {
        "name": Field(webhooks.c.name, Kind.TEXT),
        "url": Field(webhooks.c.url, Kind.TEXT),
        "state": Field(
            webhooks.c.state, Kind.ENUM, values={state.name: state for state in WebhookState}
        ),
        "create_time": Field(webhooks.c.create_us, Kind.TIMESTAMP),
    },
    sortable=frozenset({"name", "create_time"}),
)
DELIVERY_FIELDS = FieldTable(
    {
        "ledger_position": Field(webhook_deliveries.c.position, Kind.INTEGER),
        "event": Field(webhook_deliveries.c.event, Kind.TEXT),
        "resource": Field(webhook_deliveries.c.resource, Kind.TEXT),
        "delivered": Field(webhook_deliveries.c.delivered, Kind.BOOLEAN),
    },
    sortable=frozenset({"ledger_position"}),
)
_WEBHOOKS = sa.select(webhooks, actors.c.principal_json).join_from(
    webhooks, actors, actors.c.position == webhooks.c.create_position
)


class WebhookStore:
    """Reads and writes webhooks and their deliveries."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, name: str) -> Webhook | None:
        """A webhook by name."""
        return self._one(_WEBHOOKS.where(webhooks.c.name == name))

    def get(self, uid: str) -> Webhook | None:
        """A webhook by uid."""
        return self._one(_WEBHOOKS.where(webhooks.c.uid == uid))

    def lock(self, uid: str) -> Webhook | None:
        """A webhook by uid; nobody else changes it until this transaction is over."""
        return self._one(_WEBHOOKS.where(webhooks.c.uid == uid).with_for_update(of=webhooks))

    def _one(self, query: sa.Select[Any]) -> Webhook | None:
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _webhook(row)

    def all(self) -> list[Webhook]:
        """All webhooks of all workspaces."""
        return [_webhook(row) for row in self._connection.execute(_WEBHOOKS)]

    def count(self, workspace: str) -> int:
        """How many webhooks a workspace has."""
        query = sa.select(sa.func.count()).where(webhooks.c.workspace == workspace)
        return self._connection.execute(query).scalar_one()

    def page(
        self, workspace: str, page: PageRequest, visible: Callable[[str], bool]
    ) -> tuple[list[Webhook], str]:
        """One page of those webhooks of a workspace whose names are visible."""
        base = _WEBHOOKS.where(webhooks.c.workspace == workspace)
        rows, token = list_page(
            self._connection, base, page, FIELDS, webhooks.c.uid, lambda row: visible(row.name)
        )
        return [_webhook(row) for row in rows], token

    def insert(self, webhook: Webhook) -> None:
        """Add a webhook."""
        self._connection.execute(
            webhooks.insert().values(
                uid=webhook.uid,
                workspace=webhook.workspace,
                name=webhook.name,
                create_position=webhook.create_position,
                create_us=webhook.create_us,
                lease_owner="",
                lease_until_us=0,
                **_changing(webhook),
            )
        )

    def save(self, webhook: Webhook) -> None:
        """Store what can change of a webhook, all but the lease."""
        self._connection.execute(
            webhooks.update().where(webhooks.c.uid == webhook.uid).values(**_changing(webhook))
        )

    def delete(self, webhook: Webhook) -> None:
        """Remove a webhook and its deliveries."""
        uid = webhook.uid
        self._connection.execute(
            webhook_deliveries.delete().where(webhook_deliveries.c.webhook_uid == uid)
        )
        self._connection.execute(webhooks.delete().where(webhooks.c.uid == uid))

    def lease(self, uid: str, owner: str, now_us: int, until_us: int) -> bool:
        """Take or prolong the right to deliver to a webhook; False when another one has it."""
        free = sa.or_(webhooks.c.lease_owner == owner, webhooks.c.lease_until_us <= now_us)
        taken = self._connection.execute(
            webhooks.update()
            .where(webhooks.c.uid == uid, free)
            .values(lease_owner=owner, lease_until_us=until_us)
        )
        return taken.rowcount == 1

    def release(self, uid: str, owner: str) -> None:
        """Let others deliver."""
        self._connection.execute(
            webhooks.update()
            .where(webhooks.c.uid == uid, webhooks.c.lease_owner == owner)
            .values(lease_until_us=0)
        )

    def delivery(self, webhook_uid: str, position: int) -> Delivery | None:
        """What was written down of the delivery of a change."""
        row = self._connection.execute(
            sa.select(webhook_deliveries).where(
                webhook_deliveries.c.webhook_uid == webhook_uid,
                webhook_deliveries.c.position == position,
            )
        ).one_or_none()
        return None if row is None else _delivery(row)

    def save_delivery(self, delivery: Delivery, keep: int) -> None:
        """Write down how a delivery went; only the latest `keep` of a webhook are kept."""
        table = webhook_deliveries
        ours = table.c.webhook_uid == delivery.webhook_uid
        self._connection.execute(table.delete().where(ours, table.c.position == delivery.position))
        self._connection.execute(
            table.insert().values(
                webhook_uid=delivery.webhook_uid,
                position=delivery.position,
                event=delivery.event,
                resource=delivery.resource,
                delivered=delivery.last.delivered,
                attempts=delivery.attempts,
                next_attempt_us=delivery.next_attempt_us,
                **asdict(delivery.last),
            )
        )
        oldest = (
            sa.select(table.c.position)
            .where(ours)
            .order_by(table.c.position.desc())
            .limit(1)
            .offset(keep)
        )
        surplus = self._connection.execute(oldest).scalar_one_or_none()
        if surplus is not None:
            self._connection.execute(table.delete().where(ours, table.c.position <= surplus))

    def deliveries(self, webhook_uid: str, page: PageRequest) -> tuple[list[Delivery], str]:
        """One page of the deliveries of a webhook."""
        table = webhook_deliveries
        base = sa.select(table).where(table.c.webhook_uid == webhook_uid)
        rows, token = list_page(self._connection, base, page, DELIVERY_FIELDS, table.c.position)
        return [_delivery(row) for row in rows], token


def _changing(webhook: Webhook) -> dict[str, Any]:
    settings = webhook.settings
    return {
        "url": settings.url,
        "models": settings.models,
        "events_json": json.dumps(settings.events),
        "description": settings.description,
        "state": settings.state,
        "state_reason": webhook.state_reason,
        "secrets_json": json.dumps([asdict(secret) for secret in webhook.secrets]),
        "update_us": webhook.update_us,
        "change_position": webhook.change_position,
        "told_position": webhook.told_position,
        "failures": webhook.failures,
        "failing_since_us": webhook.failing_since_us,
        "next_attempt_us": webhook.next_attempt_us,
    }


def _webhook(row: sa.Row[Any]) -> Webhook:
    return Webhook(
        uid=row.uid,
        name=row.name,
        settings=WebhookSettings(
            url=row.url,
            models=row.models,
            events=tuple(json.loads(row.events_json)),
            description=row.description,
            state=WebhookState(row.state),
        ),
        state_reason=row.state_reason,
        secrets=tuple(SecretPeriod(**secret) for secret in json.loads(row.secrets_json)),
        creator=read_actor(row.principal_json),
        create_position=row.create_position,
        create_us=row.create_us,
        update_us=row.update_us,
        change_position=row.change_position,
        told_position=row.told_position,
        failures=row.failures,
        failing_since_us=row.failing_since_us,
        next_attempt_us=row.next_attempt_us,
        lease_owner=row.lease_owner,
        lease_until_us=row.lease_until_us,
    )


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        webhook_uid=row.webhook_uid,
        position=row.position,
        event=row.event,
        resource=row.resource,
        attempts=row.attempts,
        last=Attempt(row.start_us, row.duration_ms, row.http_status, row.error),
        next_attempt_us=row.next_attempt_us,
    )
