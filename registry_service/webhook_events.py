"""Which events webhooks are told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.watch_changes import AliasMove, StageMove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_service.watch_changes import Change, Move
    from registry_service.webhook_records import Webhook

# Types of events, by what they tell of.
EVENTS: Mapping[type[Move], str] = {
    StageMove: "version.stage_changed",
    AliasMove: "alias.changed",
}
TEST_EVENT = "webhook.test"


def event_of(change: Change) -> str:
    """The type of the event that tells of a change."""
    return EVENTS[type(change.move)]


def wants(webhook: Webhook, change: Change) -> bool:
    """Whether a webhook is told of changes of this kind."""
    return not webhook.settings.events or event_of(change) in webhook.settings.events
