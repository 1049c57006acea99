"""Setting and deleting promotion policies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from registry_service.ledger import Draft
from registry_service.policy_content import content_json, digest_of
from service_chassis.errors import not_found
from service_chassis.etags import check_etag

if TYPE_CHECKING:
    from registry_service.canonical_json import JsonObject
    from registry_service.policy_records import Policy
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller


def set_policy(store: RegistryStore, caller: Caller, wanted: Policy, etag: str) -> Policy:
    """Put a policy in force, in place of its revision before; unchanged, it stays as it is.

    Args:
        store: The tables.
        caller: Who sets it.
        wanted: What is to hold; what the registry gives is ignored.
        etag: The etag that the caller knows; empty means any.

    Raises:
        StudbookError: ETAG_MISMATCH.
    """
    # From here on nobody promotes until this transaction is over.
    store.ledger.lock()
    present = store.policies.find(wanted.name)
    check_etag(etag, "" if present is None else present.etag, wanted.name)
    content = content_json(wanted)
    digest = digest_of(content)
    if present is not None and present.digest == digest:
        return present
    revision = store.policies.last_revision(wanted.name) + 1
    entry = store.ledger.append(
        Draft(
            caller.principal,
            "policy.set",
            wanted.name,
            {
                "before": _in_ledger(present),
                "after": {"revision": revision, "digest": f"sha256:{digest}"},
                "content": content,
            },
            wanted.description,
        )
    )
    made = replace(
        wanted,
        revision=revision,
        digest=digest,
        update_us=entry.create_us,
        updater=caller.principal,
    )
    store.policies.add(made, entry.position)
    return made


def delete_policy(store: RegistryStore, caller: Caller, name: str, etag: str) -> None:
    """Put a policy out of force; its revisions can still be read.

    Raises:
        StudbookError: NOT_FOUND, ETAG_MISMATCH.
    """
    store.ledger.lock()
    present = store.policies.find(name)
    if present is None:
        raise not_found(name)
    check_etag(etag, present.etag, name)
    content: JsonObject = {"before": _in_ledger(present), "after": None}
    store.ledger.append(Draft(caller.principal, "policy.delete", name, content))
    store.policies.withdraw(name)


def _in_ledger(policy: Policy | None) -> JsonObject | None:
    if policy is None:
        return None
    return {"revision": policy.revision, "digest": f"sha256:{policy.digest}"}
