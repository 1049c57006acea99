"""Policies and approvals against a model of them: nothing enters Production that must not."""

from __future__ import annotations

import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry_service import transition_requests
from registry_service.ledger import Outcome, verify_chain
from registry_service.policies import set_policy
from registry_service.policy_records import ApprovalRule, Gate, Policy
from registry_service.records import Stage
from registry_service.transition_request_records import Decision
from service_chassis.database import Database
from service_chassis.errors import StudbookError
from studbook.identity.v1.principal_pb2 import Principal
from studbook.registry.v1.lineage_pb2 import Lineage, LineageMetric, LineageRun
from tests.store.registry.full_registry import audit
from tests.store.registry.seeding import GRACE, MODEL, Clock, Stud, caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_service.ledger import Entry
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller

POLICY = "workspaces/main/policies/production"
ACCURACY = {"1.0.0": 0.5, "1.1.0": 0.7, "1.2.0": 0.9}
QUALITY, SECURITY = "group:demo:quality", "group:demo:security"
GROUPS = {
    "author": (QUALITY, SECURITY),
    "ada": (QUALITY,),
    "bo": (QUALITY, SECURITY),
    "cy": (SECURITY,),
    "di": (),
}
RULES = (
    ApprovalRule("quality", 1, (QUALITY,)),
    ApprovalRule("security", 1, (SECURITY,)),
    ApprovalRule("anybody", 2),
)

numbers = st.sampled_from(sorted(ACCURACY))


def reviewer(name: str) -> Caller:
    return replace(caller(name), groups=GROUPS[name])


def lineage(accuracy: float) -> Lineage:
    return Lineage(
        run=LineageRun(
            creator=Principal(id="user:demo:author"),
            metrics=[LineageMetric(key="accuracy", last=accuracy)],
        )
    )


def reason_of(work: Callable[[], object]) -> str:
    try:
        work()
    except StudbookError as error:
        return error.reason
    return ""


def put_in_force(stud: Stud, policy: Policy) -> Policy:
    return stud.write(lambda store: set_policy(store, GRACE, policy, ""))


@dataclass
class Asked:
    """An open request as the model sees it: who approved, of what."""

    name: str
    requester: str
    approved: dict[str, tuple[object, ...]] = field(default_factory=dict)


class Policies(RuleBasedStateMachine):
    """The registry, and beside it what it should let in."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        database = Database(
            f"sqlite:///{Path(self.folder.name) / 'registry.db'}", "registry_service", pool_size=1
        )
        database.migrate()
        self.stud = Stud(database, Clock())
        self.stud.create_model()
        for number, accuracy in ACCURACY.items():
            self.stud.register(number, lineage=lineage(accuracy))
        self.floor = 0.0
        self.approval_rules: tuple[ApprovalRule, ...] = ()
        self.revision = 0
        self.present = ""
        self.open: dict[str, Asked] = {}

    def teardown(self) -> None:
        assert audit(self.stud) == []
        self.stud.database.close()
        self.folder.cleanup()

    def circumstances(self) -> tuple[object, ...]:
        """What approvals are about, beside the version."""
        return self.revision, self.present

    @rule(floor=st.sampled_from([0.0, 0.6, 0.8]), chosen=st.sets(st.sampled_from(RULES)))
    def set_policy(self, floor: float, chosen: set[ApprovalRule]) -> None:
        rules = tuple(one for one in RULES if one in chosen)
        gate = Gate("floor", f"candidate.metrics.accuracy.last >= {floor}")
        wanted = Policy(POLICY, 0, "", ("wine-*",), gates=(gate,), approval_rules=rules)
        made = put_in_force(self.stud, wanted)
        changed = not self.revision or (floor, rules) != (self.floor, self.approval_rules)
        self.revision += changed
        assert made.revision == self.revision
        self.floor, self.approval_rules = floor, rules

    @rule(number=numbers, name=st.sampled_from(sorted(GROUPS)))
    def ask(self, number: str, name: str) -> None:
        version = f"{MODEL}/versions/{number}"

        def work() -> str:
            asked = self.stud.write(
                lambda store: transition_requests.ask(store, caller(name), version, "")
            )
            return asked.request.name

        if number == self.present:
            assert reason_of(work) == "TRANSITION_NOT_ALLOWED"
        elif number in self.open:
            assert reason_of(work) == "ALREADY_EXISTS"
        else:
            self.open[number] = Asked(work(), name)

    @rule(number=numbers, name=st.sampled_from(sorted(GROUPS)), rejects=st.booleans())
    def review(self, number: str, name: str, *, rejects: bool) -> None:
        asked = self.open.get(number)
        if asked is None:
            return
        decision = Decision.REJECT if rejects else Decision.APPROVE

        def work(store: RegistryStore) -> None:
            request = transition_requests.find(store, asked.name)
            digest = transition_requests.look(store, request).digest
            transition_requests.review(store, reviewer(name), asked.name, decision, "", digest)

        self.stud.write(work)
        if rejects:
            del self.open[number]
        else:
            asked.approved[name] = self.circumstances()

    @rule(number=numbers)
    def promote(self, number: str) -> None:
        got = reason_of(lambda: self.stud.move(number, Stage.PRODUCTION))
        if number == self.present:
            assert got == ""
            return
        assert got == ("" if self.may_enter(number) else "POLICY_NOT_MET")
        if not got:
            self.open.pop(number, None)
            self.present = number

    def may_enter(self, number: str) -> bool:
        if not self.revision:
            return True
        return ACCURACY[number] >= self.floor and self.approved(number)

    def approved(self, number: str) -> bool:
        """Whether there is any way to hand out approvals so that every rule is met."""
        asked = self.open.get(number)
        people = (
            []
            if asked is None
            else [
                name
                for name, about in asked.approved.items()
                if about == self.circumstances() and name not in {"author", asked.requester}
            ]
        )
        places = [one for one in self.approval_rules for _ in range(one.count)]

        def fits(left: list[ApprovalRule], free: list[str]) -> bool:
            if not left:
                return True
            return any(
                (not left[0].approvers or set(GROUPS[name]) & set(left[0].approvers))
                and fits(left[1:], [other for other in free if other != name])
                for name in free
            )

        return fits(places, people)

    @invariant()
    def ledger_verifies_and_tells_by_what_each_move_was_decided(self) -> None:
        entries = self.stud.read(lambda store: list(store.ledger.entries()))
        assert verify_chain(entries) is None
        check_policies(entries)


def check_policies(entries: list[Entry]) -> None:
    """Each move into Production names the policy that was in force at its place in the ledger."""
    in_force: list[object] = []
    for entry in entries:
        content = json.loads(entry.content_json)
        if entry.action == "policy.set":
            in_force = [(content["after"]["revision"], content["after"]["digest"])]
        decided = entry.action == "version.transition" and entry.outcome is Outcome.DONE
        if decided and content["after"]["stage"] == "PRODUCTION":
            named = [(one["revision"], one["digest"]) for one in content["policies"]]
            assert named == in_force
            assert all(one["outcome"] == "PASS" for one in content["rules"])


TestPolicies = Policies.TestCase
TestPolicies.settings = settings(
    max_examples=25, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow]
)


def test_no_promotion_slips_past_a_policy_that_is_set_meanwhile(
    database_factory: Callable[[str], Database],
) -> None:
    stud = Stud(database_factory("registry_service"))
    stud.create_model()
    for number in range(8):
        stud.register(f"1.{number}.0", lineage=lineage(number / 8))
    together = threading.Barrier(12)

    def promote(number: int) -> None:
        together.wait()
        for _ in range(4):
            reason_of(lambda: stud.move(f"1.{number}.0", Stage.PRODUCTION))

    def change(number: int) -> None:
        together.wait()
        for step in range(4):
            gate = Gate("floor", f"candidate.metrics.accuracy.last >= {(number + step) % 4 / 4}")
            put_in_force(stud, Policy(POLICY, 0, "", ("*",), gates=(gate,)))

    with ThreadPoolExecutor(12) as threads:
        work = [threads.submit(promote, number) for number in range(8)]
        work += [threads.submit(change, number) for number in range(4)]
        for one in work:
            one.result()

    entries = stud.read(lambda store: list(store.ledger.entries()))
    assert verify_chain(entries) is None
    check_policies(entries)
