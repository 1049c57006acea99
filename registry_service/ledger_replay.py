"""What the registry's tables must hold, by the ledger alone.

Entries are followed one by one. Rows that will not change any more are handed out as soon as that
is known, so that a long ledger takes no more room than what stands today.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import starmap
from typing import TYPE_CHECKING, Any

from registry_service.records import Cause, Stage, VersionState
from registry_service.token_replay import TokenReplay
from registry_service.transition_request_records import Decision, Ending
from registry_service.version_numbers import parse_number
from registry_service.webhook_replay import Row, WebhookReplay
from studbook.ledger_chain import DONE, ERASE_PERSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from studbook.ledger_chain import Link

_DECODER = json.JSONDecoder()

# Tables whose rows are named by the position of the entry that made them.
BY_POSITION = ("stays", "alias_stays", "policies", "transition_requests", "transition_reviews")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a version consists of, which never changes.

    Attributes:
        position: Position of its registration.
        files: Rows of `version_files`, without the version.
        lineage_digest: SHA-256 over its lineage, in hexadecimal.
        parents: Rows of `version_parents`, without the version.
    """

    position: int
    version_uid: str
    name: str
    files: list[Row]
    lineage_digest: str
    parents: list[Row]


@dataclass
class Changed:
    """What became known by following some entries.

    Attributes:
        made: Positions of the rows that were added, by table.
        settled: Rows that will not change any more, with their tables.
        contents: Contents of the versions that were registered.
        lineages: Digests of lineages whose authors were erased, by version, with the position.
    """

    made: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in BY_POSITION})
    settled: list[tuple[str, Row]] = field(default_factory=list)
    contents: list[Contents] = field(default_factory=list)
    lineages: dict[str, tuple[int, str]] = field(default_factory=dict)


class Replay:
    """Follows the ledger and knows what the tables must hold after each entry.

    Attributes:
        changed: What became known; whoever has looked at it puts a new one in its place.
        models: Rows of `models` by uid.
        versions: Rows of `versions` by name.
        tags: Tags of models and versions by uid.
        protected: Protected aliases of models by uid.
        tokens: Tokens that were exchanged.
    """

    def __init__(self) -> None:
        self.changed = Changed()
        self.models: dict[str, Row] = {}
        self.versions: dict[str, Row] = {}
        self.tags: dict[str, Mapping[str, str]] = {}
        self.protected: dict[str, list[str]] = {}
        self._model_uids: dict[str, str] = {}
        self._stays: dict[str, Row] = {}
        self._aliases: dict[str, Row] = {}
        self._policies: dict[str, Row] = {}
        self._requests: dict[str, Row] = {}
        self._webhooks = WebhookReplay()
        self.tokens = TokenReplay()
        self._follow: Mapping[str, Callable[[Link, Any], None]] = {
            "model.create": self._create_model,
            "model.update": self._update_model,
            "model.delete": self._delete_model,
            "version.create": self._create_version,
            "version.verify": self._verify_version,
            "version.update": self._update_version,
            "version.transition": self._move_version,
            "version.delete": self._delete_version,
            "alias.set": self._set_alias,
            "alias.delete": self._delete_alias,
            "policy.set": self._set_policy,
            "policy.delete": self._delete_policy,
            "transition.request": self._request,
            "transition.review": self._review,
            "transition.cancel": self._cancel,
            ERASE_PERSON: self._erase,
            **self._webhooks.actions,
            **self.tokens.actions,
        }

    def follow(self, link: Link) -> None:
        """Take the next entry; what it does not know changes no table that it knows.

        Raises:
            ValueError: The entry says something that cannot be, after those before it.
        """
        if link.outcome != DONE or link.action not in self._follow:
            return
        try:
            self._follow[link.action](link, _DECODER.raw_decode(link.content_json)[0])
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            message = f"after the entries before, {link.action} makes no sense ({error})"
            raise ValueError(message) from error

    @property
    def webhooks(self) -> Mapping[str, Row]:
        """Rows of `webhooks` by uid, as far as the ledger speaks of them."""
        return self._webhooks.rows

    def open_rows(self) -> Iterator[tuple[str, Row]]:
        """Rows that can still change, with their tables; all that is not handed out as settled."""
        for table, rows in (
            ("stays", self._stays),
            ("alias_stays", self._aliases),
            ("policies", self._policies),
            ("transition_requests", self._requests),
        ):
            for row in rows.values():
                yield table, row

    def _add(self, table: str, row: Row) -> Row:
        self.changed.made[table].add(row["position"])
        return row

    def _settle(self, table: str, row: Row | None) -> None:
        if row is not None:
            self.changed.settled.append((table, row))

    def _create_model(self, link: Link, content: Any) -> None:
        uid = content["model_uid"]
        self._model_uids[link.resource] = uid
        self.models[uid] = {
            "uid": uid,
            "workspace": link.resource.split("/")[1],
            "name": link.resource,
            "create_position": link.position,
            "create_us": link.create_us,
            "delete_us": None,
        }
        self._update_model(link, content)

    def _update_model(self, link: Link, content: Any) -> None:
        uid, after = content["model_uid"], content["after"]
        self.models[uid] |= {
            "description": after["description"],
            "update_us": link.create_us,
            "change_position": link.position,
        }
        self.tags[uid] = after["tags"]
        # Ledgers from before there were aliases do not speak of them.
        self.protected[uid] = after.get("protected_aliases", [])

    def _delete_model(self, link: Link, content: Any) -> None:
        self.models[content["model_uid"]]["delete_us"] = link.create_us
        del self._model_uids[link.resource]

    def _create_version(self, link: Link, content: Any) -> None:
        uid, after = content["version_uid"], content["after"]
        model, _, number = link.resource.rpartition("/versions/")
        self.versions[link.resource] = {
            "uid": uid,
            "model_uid": self._model_uids[model],
            "model": model,
            "name": link.resource,
            "number": number,
            "sort_key": parse_number(number, "version").sort_key,
            "state": VersionState[after["state"]],
            "state_reason": "",
            "was_in_production": False,
            "source_run": after["source_run"],
            "digest": after["digest"].removeprefix("sha256:"),
            "create_position": link.position,
            "create_us": link.create_us,
            "delete_us": None,
        }
        self._update_version(link, content)
        self._put(link, link.resource, None, Stage[after["stage"]], Cause.REGISTERED)
        self.changed.contents.append(
            Contents(
                position=link.position,
                version_uid=uid,
                name=link.resource,
                files=[
                    {**file, "digest": file["digest"].removeprefix("sha256:")}
                    for file in after["files"]
                ],
                lineage_digest=after["lineage_digest"].removeprefix("sha256:"),
                parents=list(starmap(self._parent, enumerate(after.get("parents", [])))),
            )
        )

    def _parent(self, place: int, parent: Any) -> Row:
        version = parent["version"]
        return {
            "place": place,
            "parent_uid": self.versions[version]["uid"] if version else None,
            "parent": version,
            "uri": parent["uri"],
            "digest": parent["digest"].removeprefix("sha256:"),
        }

    def _verify_version(self, link: Link, content: Any) -> None:
        self.versions[link.resource] |= {
            "state": VersionState[content["after"]["state"]],
            "state_reason": link.reason,
            "update_us": link.create_us,
            "change_position": link.position,
        }

    def _update_version(self, link: Link, content: Any) -> None:
        after = content["after"]
        row = self.versions[link.resource]
        row |= {
            "description": after["description"],
            "update_us": link.create_us,
            "change_position": link.position,
        }
        self.tags[row["uid"]] = after["tags"]

    def _delete_version(self, link: Link, _content: Any) -> None:
        row = self.versions[link.resource]
        row["delete_us"] = link.create_us
        self._end(self._stays, "stays", row["uid"], link.create_us)

    def _move_version(self, link: Link, content: Any) -> None:
        row = self.versions[link.resource]
        to_stage = Stage[content["after"]["stage"]]
        self._put(
            link,
            link.resource,
            row["stage"],
            to_stage,
            Cause[content["cause"]],
            start_us=content.get("effective_time", link.create_us),
            broke_glass=content.get("broke_glass", False),
        )
        row |= {"update_us": link.create_us, "change_position": link.position}
        if to_stage is Stage.PRODUCTION:
            row["was_in_production"] = True
            self._end_request(row["uid"], Ending.APPLIED, link)

    def _put(
        self,
        link: Link,
        version: str,
        from_stage: Stage | None,
        to_stage: Stage,
        cause: Cause,
        *,
        start_us: int | None = None,
        broke_glass: bool = False,
    ) -> None:
        """Let a version stand in a stage."""
        row = self.versions[version]
        start_us = link.create_us if start_us is None else start_us
        row |= {"stage": to_stage, "stage_us": start_us, "stage_position": link.position}
        self._end(self._stays, "stays", row["uid"], start_us)
        self._stays[row["uid"]] = self._add(
            "stays",
            {
                "position": link.position,
                "model_uid": row["model_uid"],
                "model": row["model"],
                "version_uid": row["uid"],
                "version": version,
                "from_stage": from_stage,
                "to_stage": to_stage,
                "cause": cause,
                "caused_by": 0 if cause is Cause.REGISTERED else link.caused_by,
                "reason": link.reason,
                "start_us": start_us,
                "end_us": None,
                "broke_glass": broke_glass,
            },
        )

    def _end(self, rows: dict[str, Row], table: str, key: str, end_us: int) -> None:
        row = rows.pop(key, None)
        if row is not None:
            row["end_us"] = end_us
        self._settle(table, row)

    def _set_alias(self, link: Link, content: Any) -> None:
        model, _, alias = link.resource.rpartition("/aliases/")
        version = content["after"]["version"]
        model_uid = self._model_uids[model]
        key = f"{model_uid}/{alias}"
        self._end(self._aliases, "alias_stays", key, link.create_us)
        self._aliases[key] = self._add(
            "alias_stays",
            {
                "position": link.position,
                "model_uid": model_uid,
                "model": model,
                "alias": alias,
                "version_uid": content["version_uid"],
                "version": version,
                "reason": link.reason,
                "start_us": link.create_us,
                "end_us": None,
            },
        )

    def _delete_alias(self, link: Link, _content: Any) -> None:
        model, _, alias = link.resource.rpartition("/aliases/")
        key = f"{self._model_uids[model]}/{alias}"
        self._end(self._aliases, "alias_stays", key, link.create_us)

    def _set_policy(self, link: Link, content: Any) -> None:
        self._delete_policy(link, content)
        after = content["after"]
        self._policies[link.resource] = self._add(
            "policies",
            {
                "position": link.position,
                "workspace": link.resource.split("/")[1],
                "name": link.resource,
                "revision": after["revision"],
                "digest": after["digest"].removeprefix("sha256:"),
                "content_json": content["content"],
                "update_us": link.create_us,
                "in_force": True,
            },
        )

    def _delete_policy(self, link: Link, _content: Any) -> None:
        row = self._policies.pop(link.resource, None)
        if row is not None:
            row["in_force"] = False
        self._settle("policies", row)

    def _request(self, link: Link, _content: Any) -> None:
        version = self.versions[link.resource]
        self._requests[version["uid"]] = self._add(
            "transition_requests",
            {
                "position": link.position,
                "model_uid": version["model_uid"],
                "model": version["model"],
                "version_uid": version["uid"],
                "version": link.resource,
                "reason": link.reason,
                "create_us": link.create_us,
                "ending": None,
                "end_us": None,
                "end_position": None,
            },
        )

    def _review(self, link: Link, content: Any) -> None:
        row = {
            "position": link.position,
            "request": content["request"],
            "decision": Decision[content["decision"]],
            "comment": link.reason,
            "reviewed_digest": content["reviewed_digest"],
            "groups": json.dumps(content["groups"]),
            "create_us": link.create_us,
        }
        self._settle("transition_reviews", self._add("transition_reviews", row))
        if row["decision"] is Decision.REJECT:
            self._end_request(self.versions[link.resource]["uid"], Ending.REJECTED, link)

    def _cancel(self, link: Link, _content: Any) -> None:
        self._end_request(self.versions[link.resource]["uid"], Ending.CANCELLED, link)

    def _end_request(self, version_uid: str, ending: Ending, link: Link) -> None:
        row = self._requests.pop(version_uid, None)
        if row is not None:
            row |= {"ending": ending, "end_us": link.create_us, "end_position": link.position}
        self._settle("transition_requests", row)

    def _erase(self, link: Link, content: Any) -> None:
        for lineage in content["lineages"]:
            digest = lineage["digest"].removeprefix("sha256:")
            self.changed.lineages[lineage["version_uid"]] = link.position, digest
