"""Requests and reviews over gRPC, up to the promotion that they allow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from service_chassis.caller import Caller, Principal
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

ONE = f"{MODEL}/versions/1.0.0"
POLICY = f"{PARENT}/policies/production"
QUALITY = "group:demo:quality"
ASKS = {"models.transition": ("**",), "models.read": ("**",)}
REVIEWS: dict[str, tuple[str, ...]] = {"models.review": ("**",), "models.read": ("**",)}
ADA = caller("ada", ASKS)
ROSA = replace(caller("rosa", REVIEWS), groups=(QUALITY, "group:demo:everybody"))
SAM = replace(caller("sam", REVIEWS), groups=("group:demo:sales",))
OPEN, APPROVED, STALE, APPLIED, REJECTED, CANCELLED = 1, 2, 3, 5, 6, 7


def with_rule(folder: Path, test: Callable[[Registry], Awaitable[None]], **rule: Any) -> None:
    async def run(registry: Registry) -> None:
        registry.add_run({"model/model.joblib": b"forest"})
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
        await registry.register("1.0.0")
        await registry.register("1.1.0")
        given = {"id": "quality", "count": 1, "approvers": [QUALITY], **rule}
        await registry.call(
            "PolicyService.SetPromotionPolicy",
            policy={"name": POLICY, "models": ["*"], "approval_rules": [given]},
        )
        await test(registry)

    with_registry(folder, run)


async def ask(registry: Registry, version: str = ONE, by: Caller = ADA) -> Any:
    answer = await registry.call("ReviewService.RequestTransition", version=version, by=by)
    return answer.request


async def look(registry: Registry, name: str) -> Any:
    return (await registry.call("ReviewService.GetTransitionRequest", name=name)).request


async def review(registry: Registry, request: Any, by: Caller, decision: int = 1) -> Any:
    answer = await registry.call(
        "ReviewService.ReviewTransition",
        name=request.name,
        decision=decision,
        reviewed_digest=request.reviewed_digest,
        by=by,
    )
    return answer.request


async def promotion(registry: Registry, number: str = "1.0.0") -> str:
    """The reason for which a promotion is refused, empty when it is not."""
    call = registry.move(number, "PRODUCTION")
    try:
        return (await refusal(call))[1]
    except AssertionError:
        return ""


def test_an_approval_lets_a_version_in_and_ends_the_request(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        assert await promotion(registry) == "POLICY_NOT_MET"
        request = await ask(registry)
        assert request.state == OPEN
        assert await promotion(registry) == "POLICY_NOT_MET"
        approved = await review(registry, request, ROSA)
        assert approved.state == APPROVED
        assert list(approved.reviews[0].counts_for) == [f"{POLICY}/quality"]
        assert await promotion(registry) == ""
        applied = await look(registry, request.name)
        assert applied.state == APPLIED
        entries = await registry.ledger()
        assert entries[-1].position == applied.end_position
        done = [entry.action for entry in entries if entry.outcome == 1]
        assert done[-3:] == ["transition.request", "transition.review", "version.transition"]

    with_rule(tmp_path, test)


def test_the_wrong_people_do_not_count(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        reviewed = await review(registry, request, SAM)
        assert reviewed.state == OPEN
        assert QUALITY in reviewed.reviews[0].counts_not_because
        requester = replace(caller("ada", REVIEWS), groups=(QUALITY,))
        reviewed = await review(registry, request, requester)
        assert "asked for" in reviewed.reviews[1].counts_not_because
        assert await promotion(registry) == "POLICY_NOT_MET"

    with_rule(tmp_path, test)


def test_only_people_with_the_permission_review(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        no_right = registry.call(
            "ReviewService.ReviewTransition",
            name=request.name,
            decision=1,
            reviewed_digest=request.reviewed_digest,
            by=ADA,
        )
        assert (await refusal(no_right))[1] == "PERMISSION_MISSING"
        program = Caller(Principal("pipeline:release", "pipeline"), REVIEWS, groups=(QUALITY,))
        call = registry.call(
            "ReviewService.ReviewTransition",
            name=request.name,
            decision=1,
            reviewed_digest=request.reviewed_digest,
            by=program,
        )
        assert (await refusal(call))[1] == "REVIEWER_NOT_A_PERSON"

    with_rule(tmp_path, test)


def test_what_was_approved_must_be_what_enters(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        await review(registry, request, ROSA)
        await registry.call(
            "ModelService.UpdateVersion",
            version={"name": ONE, "tags": {"reviewed": "no"}},
            update_mask={"paths": ["tags"]},
        )
        assert (await look(registry, request.name)).state == STALE
        assert await promotion(registry) == "POLICY_NOT_MET"
        outdated = registry.call(
            "ReviewService.ReviewTransition",
            name=request.name,
            decision=1,
            reviewed_digest=request.reviewed_digest,
            by=ROSA,
        )
        code, reason, metadata = await refusal(outdated)
        assert (code, reason) == ("ABORTED", "REVIEW_OUTDATED")
        present = await look(registry, request.name)
        assert metadata["reviewed_digest"] == present.reviewed_digest
        assert (await review(registry, present, ROSA)).state == APPROVED

    with_rule(tmp_path, test)


def test_another_version_in_production_makes_approvals_stale(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        first, second = await ask(registry), await ask(registry, f"{MODEL}/versions/1.1.0")
        await review(registry, first, ROSA)
        await review(registry, second, ROSA)
        assert await promotion(registry) == ""
        assert (await look(registry, second.name)).state == STALE
        assert await promotion(registry, "1.1.0") == "POLICY_NOT_MET"

    with_rule(tmp_path, test)


def test_another_policy_makes_approvals_stale(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        await review(registry, request, ROSA)
        other = {"name": f"{PARENT}/policies/other", "models": ["wine-*"]}
        await registry.call("PolicyService.SetPromotionPolicy", policy=other)
        assert (await look(registry, request.name)).state == STALE

    with_rule(tmp_path, test)


def test_a_rejection_ends_a_request(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        assert (await review(registry, request, ROSA, decision=2)).state == REJECTED
        again = registry.call(
            "ReviewService.ReviewTransition",
            name=request.name,
            decision=1,
            reviewed_digest="sha256:any",
            by=ROSA,
        )
        assert (await refusal(again))[1] == "REQUEST_NOT_OPEN"
        assert (await ask(registry)).state == OPEN

    with_rule(tmp_path, test)


def test_a_version_has_one_open_request_which_can_be_taken_back(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        second = registry.call("ReviewService.RequestTransition", version=ONE, by=ADA)
        code, reason, metadata = await refusal(second)
        assert (code, reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")
        assert metadata["resource"] == request.name
        stranger = caller("sam", ASKS)
        call = registry.call(
            "ReviewService.CancelTransitionRequest", name=request.name, by=stranger
        )
        assert (await refusal(call))[1] == "PERMISSION_MISSING"
        cancelled = await registry.call(
            "ReviewService.CancelTransitionRequest", name=request.name, by=ADA
        )
        assert cancelled.request.state == CANCELLED
        listed = await registry.call(
            "ReviewService.ListTransitionRequests", parent=MODEL, filter="ended = false"
        )
        assert not listed.requests

    with_rule(tmp_path, test)


def test_names_that_are_no_requests(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request = await ask(registry)
        for wrong in ("01", "999", "x", "1" * 40):
            name = f"{MODEL}/requests/{wrong}"
            call = registry.call("ReviewService.GetTransitionRequest", name=name)
            assert (await refusal(call))[1] == "NOT_FOUND"
        elsewhere = request.name.replace("wine-cultivar", "other")
        call = registry.call("ReviewService.GetTransitionRequest", name=elsewhere)
        assert (await refusal(call))[1] == "NOT_FOUND"

    with_rule(tmp_path, test)
