"""What the table of webhooks must hold, by the ledger alone; see `ledger_replay`.

How far a webhook was told, and who delivers to it, does not stand in the ledger.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from registry_service.webhook_records import SecretPeriod, WebhookState
from registry_service.webhooks import rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from studbook.ledger_chain import Link

# A row by the names of its columns.
Row = dict[str, Any]


class WebhookReplay:
    """Follows the entries about webhooks.

    Attributes:
        rows: Rows of `webhooks` by uid.
        actions: What follows an entry, by its action.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.actions: Mapping[str, Callable[[Link, Any], None]] = {
            "webhook.create": self._create,
            "webhook.update": self._change,
            "webhook.pause": self._change,
            "webhook.rotate": self._rotate,
            "webhook.delete": self._delete,
        }

    def _create(self, link: Link, content: Any) -> None:
        self.rows[content["webhook_uid"]] = {
            "uid": content["webhook_uid"],
            "workspace": link.resource.split("/")[1],
            "name": link.resource,
            "create_position": link.position,
            "create_us": link.create_us,
            "secrets_json": _as_json((SecretPeriod(1, link.create_us),)),
        }
        self._change(link, content)

    def _change(self, link: Link, content: Any) -> None:
        after = content["after"]
        self._row(link, content).update(
            url=after["url"],
            models=after["models"],
            events_json=json.dumps(after["events"]),
            description=after["description"],
            state=WebhookState[after["state"]],
            state_reason=link.reason,
        )

    def _rotate(self, link: Link, content: Any) -> None:
        row = self._row(link, content)
        secrets = [SecretPeriod(**one) for one in json.loads(row["secrets_json"])]
        row["secrets_json"] = _as_json(
            rotated(secrets, content["secret"], link.create_us, content["overlap_us"])
        )

    def _delete(self, _link: Link, content: Any) -> None:
        del self.rows[content["webhook_uid"]]

    def _row(self, link: Link, content: Any) -> Row:
        row = self.rows[content["webhook_uid"]]
        row.update(update_us=link.create_us, change_position=link.position)
        return row


def _as_json(secrets: tuple[SecretPeriod, ...]) -> str:
    return json.dumps([asdict(secret) for secret in secrets])
