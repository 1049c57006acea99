"""A registry in which every table has rows, and the audit of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joserfc.jwk import OKPKey

from registry_service import transition_requests
from registry_service.alias_names import AliasName
from registry_service.aliases import delete_alias, set_alias
from registry_service.catalogue import create_model, delete_model, update_model
from registry_service.checkpoints import make_checkpoint
from registry_service.erasure import erase_person
from registry_service.ledger_audit import LedgerAudit
from registry_service.loaded import Loading, keep_report
from registry_service.loaded_records import Retention
from registry_service.names import parse_version_name
from registry_service.policies import delete_policy, set_policy
from registry_service.policy_records import Policy
from registry_service.records import DatasetUse, Stage
from registry_service.registration import delete_version, update_version
from registry_service.signing import Signer
from registry_service.spent_tokens import Exchange, exchange
from registry_service.transition_request_records import Decision
from registry_service.webhook_records import Attempt, Delivery, WebhookSettings
from registry_service.webhooks import create_webhook, rotate_secret
from studbook.registry.v1.lineage_pb2 import Lineage, LineageDataset, LineageRun
from tests.store.registry.seeding import AUTHOR, GRACE, MODEL, Stud, caller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.store import RegistryStore
    from registry_service.table_comparison import Finding

KEY = OKPKey.generate_key("Ed25519")
SIGNER = Signer(KEY.as_pem(private=True))
OTHER_MODEL = "workspaces/main/models/grape"
POLICY = "workspaces/main/policies/production"
DATASET = DatasetUse("workspaces/main/datasets/wine/versions/1", "training", "d" * 64)
CHAMPION = AliasName(MODEL, "champion")


def fill(stud: Stud) -> None:
    """Do everything that there is an entry for."""
    stud.create_model()
    stud.write(
        lambda store: create_model(
            store, GRACE, OTHER_MODEL, description="red or white", tags={"team": "b"}
        )
    )
    stud.write(
        lambda store: update_model(
            store,
            GRACE,
            MODEL,
            "",
            description="which grape",
            tags={"team": "a"},
            protected_aliases=("champion",),
            validate_only=False,
        )
    )
    _register(stud)
    for alias, number in (("champion", "1.0.0"), ("champion", "1.1.0"), ("canary", "1.1.0")):
        _name(stud, AliasName(MODEL, alias), number)
    stud.write(
        lambda store: delete_alias(
            store, GRACE, AliasName(MODEL, "canary"), reason="over", etag="", validate_only=False
        )
    )
    _set_policies(stud)
    _ask_and_review(stud)
    stud.move("1.0.0", Stage.PRODUCTION, reason="first")
    stud.move("1.1.0", Stage.PRODUCTION, reason="better")
    stud.roll_back()
    _delete(stud)
    _set_up_webhooks(stud)
    _report(stud)
    for digit in "abc":
        spend(stud, digit * 64)


def spend(stud: Stud, digest: str, lasts_us: int = 3600 * 1_000_000) -> None:
    """Exchange a job's token."""
    expire_us = stud.clock() + lasts_us
    wanted = Exchange(
        resource="workspaces/main",
        issuer="https://ci.example",
        digest=digest,
        expire_us=expire_us,
        token_id="t1/x",
        resources=(f"{MODEL}/**",),
        token_expire_us=expire_us,
    )
    stud.write(lambda store: exchange(store, caller("release"), wanted))


def _register(stud: Stud) -> None:
    lineage = Lineage(
        run=LineageRun(creator=AUTHOR),
        datasets=[
            LineageDataset(
                name=DATASET.dataset, role=DATASET.role, digest=f"sha256:{DATASET.digest}"
            )
        ],
    )
    stud.register("1.0.0", tags={"kind": "forest"}, datasets=(DATASET,), lineage=lineage)
    stud.register("1.1.0", parents=(f"{MODEL}/versions/1.0.0",))
    stud.register("1.2.0", fault="its bytes are other ones")
    stud.register("1.3.0", verified=False)
    stud.register("1.4.0")
    stud.write(
        lambda store: update_version(
            store,
            GRACE,
            parse_version_name(f"{MODEL}/versions/1.1.0"),
            "",
            description="deeper",
            tags={"depth": "8"},
            validate_only=False,
        )
    )


def _name(stud: Stud, alias: AliasName, number: str) -> None:
    version = f"{MODEL}/versions/{number}"
    stud.write(
        lambda store: set_alias(
            store, GRACE, alias, version, reason="because", etag="", validate_only=False
        )
    )


def _set_policies(stud: Stud) -> None:
    for description in ("first", "second"):
        policy = Policy(POLICY, 0, "", ("grape*",), description=description)
        stud.write(lambda store, policy=policy: set_policy(store, GRACE, policy, ""))  # type: ignore[misc]
    old = Policy("workspaces/main/policies/old", 0, "", ("grape*",))
    stud.write(lambda store: set_policy(store, GRACE, old, ""))
    stud.write(lambda store: delete_policy(store, GRACE, old.name, ""))


def _ask_and_review(stud: Stud) -> None:
    for number, decision in (
        ("1.0.0", Decision.APPROVE),
        ("1.1.0", Decision.REJECT),
        ("1.4.0", None),
        ("1.1.0", Decision.APPROVE),
    ):
        asked = stud.write(
            lambda store, number=number: transition_requests.ask(  # type: ignore[misc]
                store, GRACE, f"{MODEL}/versions/{number}", "please"
            )
        )
        name = asked.request.name
        if decision is None:
            stud.write(
                lambda store, name=name: transition_requests.cancel(store, GRACE, name, "no")  # type: ignore[misc]
            )
        else:
            stud.write(
                lambda store, name=name, decision=decision, digest=asked.digest: (  # type: ignore[misc]
                    transition_requests.review(store, caller("bo"), name, decision, "so", digest)
                )
            )
    stud.write(
        lambda store: transition_requests.ask(store, GRACE, f"{MODEL}/versions/1.4.0", "again")
    )


def _delete(stud: Stud) -> None:
    stud.create_model("workspaces/main/models/gone")
    stud.write(
        lambda store: delete_model(
            store, GRACE, "workspaces/main/models/gone", "", validate_only=False
        )
    )
    stud.write(
        lambda store: delete_version(
            store, GRACE, parse_version_name(f"{MODEL}/versions/1.2.0"), "", validate_only=False
        )
    )


def _set_up_webhooks(stud: Stud) -> None:
    name = "workspaces/main/webhooks/chat"
    settings = WebhookSettings("https://chat.example/hook", "", ("version.transitioned",), "to all")
    stud.write(lambda store: create_webhook(store, GRACE, name, settings, 10))
    stud.write(lambda store: rotate_secret(store, GRACE, name, "", 1_000_000))
    stud.move("1.1.0", Stage.STAGING)
    stud.write(_deliver)


def _deliver(store: RegistryStore) -> None:
    webhook = store.webhooks.find("workspaces/main/webhooks/chat")
    assert webhook is not None
    position = store.ledger.head().position
    told = Attempt(store.now_us(), 12, 200)
    resource = f"{MODEL}/versions/1.1.0"
    store.webhooks.save_delivery(
        Delivery(webhook.uid, position, "version.stage_changed", resource, 1, told, None), 10
    )
    store.webhooks.save(replace(webhook, told_position=position))


def _report(stud: Stud) -> None:
    version = parse_version_name(f"{MODEL}/versions/1.0.0")
    loading = Loading(version, "e" * 64, "line-4", None)
    stud.write(lambda store: keep_report(store, GRACE, loading, Retention(10**12, 10)))


def checkpoint(stud: Stud, signer: Signer = SIGNER) -> bytes:
    """Make a checkpoint; returns its envelope."""
    made, _ = stud.write(lambda store: make_checkpoint(store, signer))
    assert made is not None
    return made.envelope


def erase(stud: Stud, person: str = AUTHOR.id, reason: str = "asked to") -> int:
    """Erase a person; returns the position of the entry that says so."""
    admin = caller("admin")
    done = stud.write(lambda store: erase_person(store, admin, person, reason, validate_only=False))
    return done.position


def audit(
    stud: Stud, kept_elsewhere: Sequence[bytes] = (), signer: Signer = SIGNER
) -> list[Finding]:
    """Verify in portions, each in a transaction of its own."""
    made = LedgerAudit(signer.trusted, kept_elsewhere)
    stud.read(made.begin)
    while not stud.read(made.step):
        pass
    stud.read(made.finish)
    return sorted(made.findings)


def audit_in(store: RegistryStore, kept_elsewhere: Sequence[bytes] = ()) -> list[Finding]:
    """Verify as one transaction sees the registry."""
    made = LedgerAudit(SIGNER.trusted, kept_elsewhere)
    made.begin(store)
    made.finish(store)
    return sorted(made.findings)
