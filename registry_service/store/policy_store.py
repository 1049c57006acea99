"""The table of promotion policies."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.policy_content import content_json, read_policy
from registry_service.policy_tables import policies
from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from registry_service.policy_records import Policy
    from service_chassis.listing import PageRequest

FIELDS = FieldTable(
    {
        "name": Field(policies.c.name, Kind.TEXT),
        "revision": Field(policies.c.revision, Kind.INTEGER),
        "update_time": Field(policies.c.update_us, Kind.TIMESTAMP),
    },
    sortable=frozenset({"name", "revision", "update_time"}),
)

_POLICIES = sa.select(policies, actors.c.principal_json).join_from(
    policies, actors, actors.c.position == policies.c.position
)
_IN_FORCE = _POLICIES.where(policies.c.in_force)


class PolicyStore:
    """Reads and writes promotion policies."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, name: str, revision: int = 0) -> Policy | None:
        """A revision of a policy, also of one that is deleted; 0 means the one in force."""
        query = _IN_FORCE if not revision else _POLICIES.where(policies.c.revision == revision)
        row = self._connection.execute(query.where(policies.c.name == name)).one_or_none()
        return None if row is None else _policy(row)

    def last_revision(self, name: str) -> int:
        """The number of the latest revision that there ever was; 0 without any."""
        query = sa.select(sa.func.max(policies.c.revision)).where(policies.c.name == name)
        return self._connection.execute(query).scalar_one() or 0

    def covering(self, model: str) -> list[Policy]:
        """The policies in force that cover a model, by name."""
        _, workspace, _, model_id = model.split("/")
        rows = self._connection.execute(
            _IN_FORCE.where(policies.c.workspace == workspace).order_by(policies.c.name)
        )
        return [
            policy
            for policy in map(_policy, rows)
            if any(fnmatchcase(model_id, pattern) for pattern in policy.models)
        ]

    def add(self, policy: Policy, position: int) -> None:
        """Store a revision and put it in force in place of the one before."""
        self.withdraw(policy.name)
        self._connection.execute(
            policies.insert().values(
                position=position,
                workspace=policy.name.split("/")[1],
                name=policy.name,
                revision=policy.revision,
                digest=policy.digest,
                content_json=content_json(policy),
                update_us=policy.update_us,
                in_force=True,
            )
        )

    def withdraw(self, name: str) -> None:
        """Put a policy out of force; its revisions stay."""
        self._connection.execute(
            policies.update()
            .where(policies.c.name == name, policies.c.in_force)
            .values(in_force=False)
        )

    def page(self, workspace: str, page: PageRequest) -> tuple[list[Policy], str]:
        """One page of the policies in force of a workspace."""
        base = _IN_FORCE.where(policies.c.workspace == workspace)
        return self._page(base, page)

    def revisions(self, name: str, page: PageRequest) -> tuple[list[Policy], str]:
        """One page of the revisions of a policy."""
        return self._page(_POLICIES.where(policies.c.name == name), page)

    def _page(self, base: sa.Select[Any], page: PageRequest) -> tuple[list[Policy], str]:
        rows, token = list_page(self._connection, base, page, FIELDS, policies.c.position)
        return [_policy(row) for row in rows], token


def _policy(row: sa.Row[Any]) -> Policy:
    return read_policy(
        row.name,
        row.revision,
        row.digest,
        row.content_json,
        row.update_us,
        read_actor(row.principal_json),
    )
