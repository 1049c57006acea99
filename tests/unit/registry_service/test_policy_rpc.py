"""Promotion policies over gRPC: what is refused when they are set, and what they keep out."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from studbook.exceptions import from_rpc_error
from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

POLICY = f"{PARENT}/policies/production"
ONE = f"{MODEL}/versions/1.0.0"
TWO = f"{MODEL}/versions/1.1.0"
REASON = "the site is down and 1.0.0 is known to work"
RELEASER = caller(
    "rita",
    dict.fromkeys(("models.read", "models.transition", "models.promote"), ("**",)),
)


def gate(expression: str, **more: Any) -> dict[str, Any]:
    return {"id": "gate", "expression": expression, **more}


async def prepare(registry: Registry) -> None:
    registry.add_run({"model/model.joblib": b"forest"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    await registry.register("1.0.0")
    await registry.register("1.1.0")


async def set_policy(registry: Registry, **policy: Any) -> Any:
    given = {"name": POLICY, "models": ["*"], **policy}
    return (await registry.call("PolicyService.SetPromotionPolicy", policy=given)).policy


async def rules(registry: Registry, name: str = ONE) -> dict[str, tuple[str, bool]]:
    """Outcome of each rule, and whether it keeps the version out."""
    answer = await registry.call("PromotionService.ExplainTransition", name=name)
    outcomes = ("", "PASS", "FAIL", "INCONCLUSIVE", "ERROR")
    return {one.rule: (outcomes[one.outcome], one.blocks) for one in answer.rule_results}


def with_versions(folder: Path, test: Callable[[Registry], Awaitable[None]]) -> None:
    async def run(registry: Registry) -> None:
        await prepare(registry)
        await test(registry)

    with_registry(folder, run)


def test_a_policy_has_revisions_and_an_entry_for_each_change(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        first = await set_policy(registry, gates=[gate("candidate.metrics.accuracy.last > 0.9")])
        same = await set_policy(registry, gates=[gate("candidate.metrics.accuracy.last > 0.9")])
        second = await set_policy(registry, gates=[gate("candidate.metrics.accuracy.last > 0.99")])
        assert (first.revision, same.revision, second.revision) == (1, 1, 2)
        assert first.digest != second.digest
        assert first.updater.id == "user:demo:grace"
        stale = registry.call(
            "PolicyService.SetPromotionPolicy",
            policy={"name": POLICY, "models": ["*"], "etag": first.etag},
        )
        assert (await refusal(stale))[:2] == ("ABORTED", "ETAG_MISMATCH")

        read = await registry.call("PolicyService.GetPromotionPolicy", name=POLICY, revision=1)
        assert read.policy == first
        await registry.call("PolicyService.DeletePromotionPolicy", name=POLICY)
        gone = registry.call("PolicyService.GetPromotionPolicy", name=POLICY)
        assert (await refusal(gone))[1] == "NOT_FOUND"
        kept = await registry.call("PolicyService.ListPromotionPolicyRevisions", name=POLICY)
        assert [one.revision for one in kept.policies] == [2, 1]
        assert (await set_policy(registry)).revision == 3

        entries = [one for one in await registry.ledger() if one.resource == POLICY]
        assert [one.action for one in entries] == ["policy.set"] * 2 + [
            "policy.delete",
            "policy.set",
        ]
        content = json.loads(entries[1].content_json)
        assert content["before"] == {"revision": 1, "digest": first.digest}
        assert content["after"] == {"revision": 2, "digest": second.digest}

    with_versions(tmp_path, test)


@pytest.mark.parametrize(
    ("policy", "field", "told"),
    [
        ({"gates": [gate("1 +")]}, "policy.gates[0].expression", "line 1, column 4"),
        ({"gates": [gate("candidate.metric.a.last > 1")]}, "policy.gates[0].expression", "metric"),
        ({"gates": [gate("candidate.metrics.a.last")]}, "policy.gates[0].expression", "double"),
        ({"gates": [gate("size(x) > 1")]}, "policy.gates[0].expression", "'x'"),
        (
            {"gates": [gate("candidate.tags.all(a, candidate.tags.all(b, a == b))")]},
            "policy.gates[0].expression",
            "macro",
        ),
        ({"gates": [gate("(" * 2000)]}, "policy.gates[0].expression", "nested"),
        ({"gates": [gate("true"), gate("true")]}, "policy.gates[1].id", "already"),
        ({"gates": [{"id": "Ä", "expression": "true"}]}, "policy.gates[0].id", "a-z"),
        ({"gates": [gate("true", mode=77)]}, "policy.gates[0].mode", "ENFORCE"),
        ({"models": []}, "policy.models", "1 to 64"),
        ({"models": ["a/b"]}, "policy.models[0]", "id of a model"),
        ({"approval_rules": [{"id": "a", "count": 0}]}, "policy.approval_rules[0].count", "16"),
        (
            {"approval_rules": [{"id": "a", "count": 1, "approvers": ["quality"]}]},
            "policy.approval_rules[0].approvers[0]",
            "group:ISSUER:NAME",
        ),
        (
            {"freezes": [{"start_time": {"seconds": 9}, "end_time": {"seconds": 9}}]},
            "policy.freezes[0].end_time",
            "later",
        ),
        (
            {"freezes": [{"start_time": {"seconds": 9}, "end_time": {"seconds": 250_000_000_000}}]},
            "policy.freezes[0].end_time",
            "2254",
        ),
        ({"approval_lifetime": {"seconds": -1}}, "policy.approval_lifetime", "366 days"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_hold_is_refused_when_it_is_set(
    tmp_path: Path, policy: dict[str, Any], field: str, told: str
) -> None:
    async def test(registry: Registry) -> None:
        given = {"name": POLICY, "models": ["*"], **policy}
        call = registry.call("PolicyService.SetPromotionPolicy", policy=given)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert field in str(caught.value.details())
        assert told in str(caught.value.details())
        assert not await registry.ledger()

    with_registry(tmp_path, test)


def test_an_unmet_gate_refuses_names_the_figures_and_is_in_the_ledger(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await set_policy(registry, gates=[gate("candidate.metrics.accuracy.last >= 0.99")])
        code, reason, metadata = await refusal(registry.move("1.0.0", "PRODUCTION", by=RELEASER))
        assert (code, reason) == ("FAILED_PRECONDITION", "POLICY_NOT_MET")
        assert metadata["rules"] == "production/gates/gate"
        entry = (await registry.ledger())[-1]
        assert (entry.outcome, entry.action) == (2, "version.transition")
        (rule,) = json.loads(entry.content_json)["rules"]
        assert rule["outcome"] == "FAIL"
        assert rule["figures"] == {"candidate.metrics.accuracy.last": "0.97"}
        # Other stages ask for nothing.
        await registry.move("1.0.0", "STAGING", by=RELEASER)

    with_versions(tmp_path, test)


def test_however_much_is_unmet_the_refusal_arrives(tmp_path: Path) -> None:
    """gRPC drops trailing metadata beyond 8 kB, and puts an error of its own in its place."""
    read = [f'candidate.params.long != "{number}"' for number in range(6)]
    gates = [
        {"id": f"gate-{number}-{'x' * 50}", "expression": " && ".join([*read, "false"])}
        for number in range(64)
    ]

    async def test(registry: Registry) -> None:
        registry.add_run({"model/model.joblib": b"forest"})
        for run in registry.tracking.runs.values():
            run.run.params.add(key="long").value.string_value = "ü" * 8000
        await registry.register("2.0.0")
        await set_policy(registry, gates=gates)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await registry.move("2.0.0", "PRODUCTION")
        assert "64 rules are not met" in str(caught.value.details())
        told = from_rpc_error(caught.value)
        assert told.reason == "POLICY_NOT_MET"
        assert len(told.conditions) == 20
        assert told.conditions[0].subject.startswith("production/gates/gate-0-x")
        assert "does not hold" in told.conditions[0].description
        assert told.conditions[-1].description.startswith("45 more")
        rules = json.loads((await registry.ledger())[-1].content_json)["rules"]
        assert len(rules) == 64

    with_versions(tmp_path, test)


def test_the_policies_of_the_moment_stand_in_the_transition(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        policy = await set_policy(registry, gates=[gate("candidate.metrics.accuracy.last > 0.9")])
        moved = await registry.move("1.0.0", "PRODUCTION")
        (result,) = moved.rule_results
        assert (result.rule, result.outcome, result.blocks) == ("gates/gate", 1, False)
        content = json.loads((await registry.ledger())[-1].content_json)
        assert content["policies"] == [{"name": POLICY, "revision": 1, "digest": policy.digest}]
        assert content["broke_glass"] is False

    with_versions(tmp_path, test)


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        ("candidate.metrics.accuracy.last > 0.9", "PASS"),
        ("candidate.metrics.nothing.last > 0.9", "INCONCLUSIVE"),
        ("candidate.params.max_depth / 0 == 1", "ERROR"),
        ("candidate.params.criterion == 'gini'", "PASS"),
        ("candidate.params.max_depth <= 4.5", "PASS"),
        ("candidate.metrics.accuracy.last >= production.metrics.accuracy.last", "INCONCLUSIVE"),
        ("candidate.datasets.training.row_count == 178", "PASS"),
        ('candidate.environment.packages["numpy"].startsWith("2.")', "PASS"),
        ('candidate.environment.packages["torch"].startsWith("2.")', "INCONCLUSIVE"),
        ("candidate.code.dirty", "PASS"),
        ("has(production.metrics.accuracy) && production.metrics.accuracy.last > 2.0", "FAIL"),
        ("!has(candidate.environment.container_image_digest)", "PASS"),
        ("size(production.files) == 0", "PASS"),
        ('candidate.files["model.joblib"].size_bytes == 6', "PASS"),
    ],
)
def test_gates_have_four_outcomes(tmp_path: Path, expression: str, outcome: str) -> None:
    async def test(registry: Registry) -> None:
        await set_policy(registry, gates=[gate(expression)])
        assert await rules(registry) == {"gates/gate": (outcome, outcome != "PASS")}

    with_versions(tmp_path, test)


def test_modes_and_missing_values(tmp_path: Path) -> None:
    beside = "candidate.metrics.accuracy.last >= production.metrics.accuracy.last"
    lacking = "candidate.metrics.nothing.last > 1.0"

    async def test(registry: Registry) -> None:
        await set_policy(
            registry,
            gates=[
                {"id": "warn", "expression": "false", "mode": 2},
                {"id": "dry", "expression": "false", "mode": 3},
                {"id": "skip-production", "expression": beside, "on_missing": 2},
                {"id": "not-the-candidate", "expression": lacking, "on_missing": 2},
                {"id": "skip", "expression": lacking, "on_missing": 3},
            ],
        )
        assert await rules(registry) == {
            "gates/warn": ("FAIL", False),
            "gates/dry": ("FAIL", False),
            "gates/skip-production": ("PASS", False),
            "gates/not-the-candidate": ("INCONCLUSIVE", True),
            "gates/skip": ("PASS", False),
        }

    with_versions(tmp_path, test)


def test_nan_is_a_value_that_is_missing(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        registry.add_run({"model/model.joblib": b"forest"})
        for run in registry.tracking.runs.values():
            run.run.metrics[0].last = float("nan")
        await registry.register("2.0.0")
        await set_policy(registry, gates=[gate("candidate.metrics.accuracy.last != 0.5")])
        assert await rules(registry, f"{MODEL}/versions/2.0.0") == {
            "gates/gate": ("INCONCLUSIVE", True)
        }

    with_versions(tmp_path, test)


def test_completeness_freezes_and_time_in_staging(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await set_policy(
            registry,
            completeness={
                "clean_commit": True,
                "dataset_roles": ["training", "validation"],
                "environment": True,
                "signature": True,
            },
            freezes=[
                {"start_time": {"seconds": 1}, "end_time": {"seconds": 2}},
                {"start_time": {"seconds": 1}, "end_time": {"seconds": 8_000_000_000}},
            ],
            min_time_in_staging={"seconds": 3600},
        )
        await registry.move("1.0.0", "STAGING")
        assert await rules(registry) == {
            "completeness/clean-commit": ("FAIL", True),
            "completeness/dataset-training": ("PASS", False),
            "completeness/dataset-validation": ("FAIL", True),
            "completeness/environment": ("FAIL", True),
            "completeness/signature": ("FAIL", True),
            "freezes/1": ("PASS", False),
            "freezes/2": ("FAIL", True),
            "time-in-staging": ("FAIL", True),
        }

    with_versions(tmp_path, test)


def test_policies_hold_together_and_only_for_their_models(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        for name, models in (("wine", ["wine-*"]), ("all", ["*"]), ("other", ["sensor-*"])):
            policy = {
                "name": f"{PARENT}/policies/{name}",
                "models": models,
                "gates": [gate("false")],
            }
            await registry.call("PolicyService.SetPromotionPolicy", policy=policy)
        answer = await registry.call("PromotionService.ExplainTransition", name=ONE)
        assert [one.policy for one in answer.rule_results] == [
            f"{PARENT}/policies/all",
            f"{PARENT}/policies/wine",
        ]
        assert not answer.could_enter

    with_versions(tmp_path, test)


def test_a_rollback_is_exempt_unless_the_policy_says_otherwise(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await registry.move("1.0.0", "PRODUCTION")
        await registry.move("1.1.0", "PRODUCTION")
        await set_policy(registry, gates=[gate("false")], approval_rules=[{"id": "a", "count": 1}])
        assert (await registry.call("PromotionService.Rollback", name=MODEL)).version.name == ONE
        await set_policy(registry, gates=[gate("false")], gates_on_rollback=True)
        call = registry.call("PromotionService.Rollback", name=MODEL)
        assert (await refusal(call))[1] == "POLICY_NOT_MET"

    with_versions(tmp_path, test)


def test_breaking_the_glass_takes_a_permission_a_policy_that_allows_it_and_a_reason(
    tmp_path: Path,
) -> None:
    async def test(registry: Registry) -> None:
        await set_policy(registry, gates=[gate("false")])

        async def attempt(reason: str = REASON, **more: Any) -> str:
            call = registry.move("1.0.0", "PRODUCTION", reason=reason, break_glass=True, **more)
            return (await refusal(call))[1]

        assert await attempt(by=RELEASER) == "PERMISSION_MISSING"
        assert await attempt() == "BREAK_GLASS_REFUSED"
        await set_policy(registry, gates=[gate("false")], break_glass={"allowed": True})
        assert await attempt(reason="oops" + " " * 40) == "BREAK_GLASS_REFUSED"

        moved = await registry.move("1.0.0", "PRODUCTION", reason=REASON, break_glass=True)
        assert moved.transition.broke_glass
        assert json.loads((await registry.ledger())[-1].content_json)["broke_glass"] is True
        refused = [one for one in await registry.ledger() if one.outcome == 2]
        assert len(refused) == 3
        await registry.move("1.1.0", "PRODUCTION", reason=REASON, break_glass=True)
        listed = await registry.call("PromotionService.ListTransitions", parent=MODEL)
        assert [one.broke_glass for one in listed.transitions if one.to_stage == 3] == [True, True]

    with_versions(tmp_path, test)


def test_validating_a_policy_changes_nothing(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        before = len(await registry.ledger())
        answer = await registry.call(
            "PolicyService.SetPromotionPolicy",
            policy={"name": POLICY, "models": ["*"], "gates": [gate("true")]},
            validate_only=True,
        )
        assert answer.policy.revision == 0
        assert len(await registry.ledger()) == before
        call = registry.call("PolicyService.GetPromotionPolicy", name=POLICY)
        assert (await refusal(call))[1] == "NOT_FOUND"

    with_versions(tmp_path, test)


def test_a_repeated_call_sets_once(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request_id = str(uuid.uuid4())
        for _ in range(2):
            answer = await registry.call(
                "PolicyService.SetPromotionPolicy",
                policy={"name": POLICY, "models": ["*"]},
                request_id=request_id,
            )
            assert answer.policy.revision == 1
        assert [one.action for one in await registry.ledger()] == ["policy.set"]

    with_registry(tmp_path, test)
