"""The registry's tables beside what the ledger says that they must hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from registry_service.ledger_replay import BY_POSITION, Replay
from registry_service.lineage_snapshot import datasets_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from registry_service.ledger_replay import Changed, Contents
    from registry_service.store import RegistryStore
    from registry_service.webhook_replay import Row
    from studbook.ledger_chain import Link

_MISSING = "its row is missing"
_UNKNOWN = "no entry of the ledger speaks of it"
_OTHER_ROWS = "its rows are not those that the ledger says"
_OTHER_LINEAGE = "lineage is not the one that the ledger has the digest of"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that does not fit.

    Attributes:
        position: Position of the entry that says otherwise; 0 for what no entry speaks of.
        place: The table.
        subject: Name or key of what is wrong there.
        problem: What is wrong with it.
    """

    position: int
    place: str
    subject: str
    problem: str


class TableComparison:
    """Compares tables with the entries that it is given, and then with the whole.

    Rows that an entry wrote for good are compared with the portion of the ledger that it is in, all
    others at the end.
    """

    def __init__(self) -> None:
        self._replay = Replay()
        self._compared = 0
        # Registrations whose lineage has another digest: a later entry may have erased its author.
        self._lineages: dict[str, Contents] = {}

    def follow(self, link: Link) -> None:
        """Take the next entry of the ledger.

        Raises:
            ValueError: It says something that cannot be, after those before it.
        """
        self._replay.follow(link)

    def portion(self, store: RegistryStore, position: int) -> list[Finding]:
        """What does not fit the entries since the last portion, up to a position.

        The store must be on the transaction that the entries were read in, or a later one.
        """
        changed = self._replay.changed
        found = [
            *self._unknown(store, changed, position),
            *_differing(store, changed.settled),
            *self._contents(store, changed.contents),
            *self._relabelled(store, changed),
            *self._exchanged_again(),
        ]
        # Only now, so that this can be repeated.
        self._replay.changed = type(changed)()
        self._replay.tokens.repeated.clear()
        self._replay.tokens.forget_expired()
        self._compared = position
        return found

    def rest(self, store: RegistryStore) -> Iterator[Finding]:
        """What of all that can still change does not fit.

        The store must be on a transaction that sees the last entry taken and none behind it.
        """
        for one in self._lineages.values():
            yield Finding(one.position, "version_lineages", one.name, _OTHER_LINEAGE)
        yield from _differing(store, list(self._replay.open_rows()))
        for table in BY_POSITION:
            for position in sorted(store.audit.positions(table, self._compared + 1)):
                yield Finding(position, table, f"position {position}", _UNKNOWN)
        versions = {row["uid"]: row for row in self._replay.versions.values()}
        yield from _compare("models", self._replay.models, store.audit.models())
        yield from _compare("versions", versions, store.audit.versions())
        yield from self._webhooks(store)
        yield from self._tags(store, versions)
        yield from self._spent_tokens(store)
        for table, uid in store.audit.orphans(self._compared):
            yield Finding(0, table, uid, _UNKNOWN)

    def _unknown(self, store: RegistryStore, changed: Changed, position: int) -> Iterator[Finding]:
        for table, made in changed.made.items():
            present = store.audit.positions(table, self._compared + 1, position)
            for unknown in sorted(present - made):
                yield Finding(unknown, table, f"position {unknown}", _UNKNOWN)

    def _contents(self, store: RegistryStore, registered: Sequence[Contents]) -> Iterator[Finding]:
        uids = [one.version_uid for one in registered]
        files = store.audit.contents("version_files", uids)
        parents = store.audit.contents("version_parents", uids)
        datasets = store.audit.contents("version_datasets", uids)
        lineages = store.audit.contents("version_lineages", uids)
        for one in registered:
            uid = one.version_uid
            wanted = [("version_files", _by_path(one.files), _by_path(files.get(uid, ())))]
            wanted.append(("version_parents", one.parents, parents.get(uid, [])))
            if uid not in lineages:
                yield Finding(one.position, "version_lineages", one.name, _MISSING)
            else:
                lineage = lineages[uid][0]
                if lineage["digest"] != one.lineage_digest:
                    yield Finding(one.position, "version_lineages", one.name, _OTHER_LINEAGE)
                elif not _has_digest(lineage, one.lineage_digest):
                    self._lineages[uid] = one
                used = _datasets_in(lineage)
                wanted.append(("version_datasets", used, datasets.get(uid, [])))
            for table, rows, present in wanted:
                if rows != present:
                    yield Finding(one.position, table, one.name, _OTHER_ROWS)

    def _relabelled(self, store: RegistryStore, changed: Changed) -> Iterator[Finding]:
        """Lineages whose authors were erased."""
        present = store.audit.contents("version_lineages", list(changed.lineages))
        for uid, (position, digest) in changed.lineages.items():
            self._lineages.pop(uid, None)
            if uid not in present or not _has_digest(present[uid][0], digest):
                yield Finding(position, "version_lineages", uid, _OTHER_LINEAGE)

    def _exchanged_again(self) -> Iterator[Finding]:
        for position, before in self._replay.tokens.repeated.items():
            problem = f"it exchanges a token that entry {before} had exchanged"
            yield Finding(position, "ledger", f"entry {position}", problem)

    def _spent_tokens(self, store: RegistryStore) -> Iterator[Finding]:
        """Rows go when they have expired, at some time or other."""
        known, present = self._replay.tokens.known, store.audit.spent_tokens()
        now_us = store.now_us()
        for key, expire_us in present.items():
            token = known.get(key)
            if token is None and now_us < expire_us:
                yield Finding(0, "spent_tokens", key[1], _UNKNOWN)
            elif token is not None and token.expire_us != expire_us:
                problem = "expire_us is not what the ledger says"
                yield Finding(token.position, "spent_tokens", key[1], problem)
        for key, token in known.items():
            if key not in present and token.may_be_good(now_us):
                yield Finding(token.position, "spent_tokens", key[1], _MISSING)

    def _webhooks(self, store: RegistryStore) -> Iterator[Finding]:
        present = list(store.audit.webhooks())
        yield from _compare("webhooks", self._replay.webhooks, present)
        for row in present:
            if not row["create_position"] <= row["told_position"] <= self._compared:
                problem = "told_position is not within the ledger since it was made"
                yield Finding(row["create_position"], "webhooks", row["name"], problem)

    def _tags(self, store: RegistryStore, versions: Mapping[str, Row]) -> Iterator[Finding]:
        models = self._replay.models
        tags = store.audit.tags()
        for uid, wanted in self._replay.tags.items():
            if tags.get(uid, {}) != wanted:
                row = versions.get(uid) or models[uid]
                table = "version_tags" if uid in versions else "model_tags"
                yield Finding(row["change_position"], table, row["name"], _OTHER_ROWS)
        aliases = store.audit.protected_aliases()
        for uid, protected in self._replay.protected.items():
            if aliases.get(uid, set()) != set(protected):
                row = models[uid]
                yield Finding(row["change_position"], "protected_aliases", row["name"], _OTHER_ROWS)


def _differing(store: RegistryStore, rows: Sequence[tuple[str, Row]]) -> Iterator[Finding]:
    """Rows that are named by positions."""
    for table in BY_POSITION:
        wanted = {row["position"]: row for name, row in rows if name == table}
        columns = store.audit.columns(table)
        in_order = itemgetter(*columns)
        present = store.audit.at_positions(table, list(wanted))
        for position, row in wanted.items():
            values = present.get(position)
            if values is None:
                yield Finding(position, table, f"position {position}", _MISSING)
            elif values != in_order(row):
                problem = _difference(row, dict(zip(columns, values, strict=True)))
                yield Finding(position, table, f"position {position}", problem)


def _compare(table: str, wanted: Mapping[str, Row], present: Iterable[Row]) -> Iterator[Finding]:
    """Rows that are named by uids."""
    seen = set()
    for row in present:
        uid = row["uid"]
        seen.add(uid)
        if uid not in wanted:
            yield Finding(0, table, str(row["name"]), _UNKNOWN)
            continue
        problem = _difference(wanted[uid], row)
        if problem:
            yield Finding(wanted[uid]["change_position"], table, wanted[uid]["name"], problem)
    for uid in wanted.keys() - seen:
        yield Finding(wanted[uid]["create_position"], table, wanted[uid]["name"], _MISSING)


def _difference(wanted: Row, present: Row) -> str:
    """The columns that hold something else; empty when none does."""
    names = [name for name, value in wanted.items() if present[name] != value]
    return f"{', '.join(names)} is not what the ledger says" if names else ""


def _datasets_in(row: Row) -> list[Row]:
    try:
        return datasets_in(row["lineage"])
    except DecodeError:
        # That the bytes are other ones is found by their digest.
        return []


def _by_path(files: Iterable[Row]) -> list[Row]:
    return sorted(files, key=lambda file: str(file["path"]))


def _has_digest(row: Row, digest: str) -> bool:
    return hashlib.sha256(row["lineage"]).hexdigest() == digest
