"""Certificates: what the registry signs of a version, and what it refuses to certify."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from studbook.certificates.envelope import read_envelope
from studbook.certificates.keys import key_id
from studbook.certificates.verification import verify_certificate
from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    RUN,
    SIGNING_KEY,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC: Any = load_pem_public_key(SIGNING_KEY.as_pem(private=False))
KEYS = {key_id(PUBLIC): PUBLIC}
FILES = {"model/model.joblib": b"forest", "model/meta/card.md": b"card"}
NAME = f"{MODEL}/versions/1.0.0"


async def prepare(registry: Registry, *, stored: bool = True) -> None:
    registry.add_run(FILES, stored=stored)
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")


async def certificate(registry: Registry, name: str = NAME) -> Any:
    return await registry.call("LineageService.GetCertificate", name=name)


def stated(answer: Any) -> Any:
    """The statement in an answer."""
    return json.loads(read_envelope(answer.envelope).payload)


def test_certificate_holds_beside_the_files(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        version = await registry.register("1.0.0")
        await registry.move("1.0.0", "PRODUCTION", reason="first")
        answer = await certificate(registry)
        folder = tmp_path / "fetched"
        for path, content in FILES.items():
            target = folder / path.removeprefix("model/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        verification = verify_certificate(answer.envelope, KEYS, [folder])
        assert verification.holds, verification.findings

        head = (await registry.ledger())[-1]
        assert answer.ledger_position == head.position
        assert answer.key_id in KEYS
        predicate = stated(answer)["predicate"]
        assert predicate["ledger"]["position"] == head.position
        assert predicate["ledger"]["hash"] == head.hash.hex()
        assert predicate["version"]["digest"] == version.digest
        assert predicate["run"]["name"] == RUN
        assert predicate["datasets"][0]["digest"] == f"sha256:{'d' * 64}"
        assert predicate["code"]["dirty"] is True
        assert predicate["environment"]["packages"] == {"numpy": "2.0"}

    with_registry(tmp_path, test)


def test_certificate_tells_every_stage_with_its_ledger_entry(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.register("1.0.0")
        await registry.register("1.1.0")
        await registry.move("1.0.0", "PRODUCTION", reason="first", by=caller("hopper"))
        await registry.move("1.1.0", "PRODUCTION", reason="better")
        await registry.call("PromotionService.Rollback", name=MODEL, reason="worse after all")

        stages = stated(await certificate(registry))["predicate"]["stages"]
        assert [(stay["stage"], stay["cause"], stay["reason"]) for stay in stages] == [
            ("NONE", "REGISTERED", ""),
            ("PRODUCTION", "REQUESTED", "first"),
            ("ARCHIVED", "DISPLACED", "better"),
            ("PRODUCTION", "ROLLBACK", "worse after all"),
        ]
        assert stages[1]["by"]["id"] == "user:demo:hopper"
        assert stages[1]["by"]["kind"] == "USER"
        entries = {entry.position: entry for entry in await registry.ledger()}
        for stay in stages:
            assert stay["ledgerHash"] == entries[stay["ledgerPosition"]].hash.hex()
        assert stages[2]["causedBy"] == entries[stages[2]["ledgerPosition"]].caused_by

    with_registry(tmp_path, test)


def test_same_version_at_the_same_position_has_the_same_certificate(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.register("1.0.0")
        first = await certificate(registry)
        # Asking for a moment in the past settles the ledger's time, and changes nothing else.
        await refusal(
            registry.call("ServingService.ResolveVersion", model=MODEL, at={"seconds": 1})
        )
        again = await certificate(registry)
        assert again == first
        await registry.move("1.0.0", "STAGING")
        assert (await certificate(registry)).envelope != first.envelope

    with_registry(tmp_path, test)


def test_only_verified_versions_that_exist_are_certified(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, stored=False)
        await registry.register("1.0.0")
        code, reason, metadata = await refusal(certificate(registry))
        assert (code, reason) == ("FAILED_PRECONDITION", "VERSION_NOT_READY")
        assert metadata["state"] == "FAILED"
        code, _, _ = await refusal(certificate(registry, f"{MODEL}/versions/2.0.0"))
        assert code == "NOT_FOUND"
        _, reason, _ = await refusal(certificate(registry, f"{MODEL}/versions/two"))
        assert reason == "VERSION_INVALID"
        nobody = caller("nobody", {"models.read": ("workspaces/main/models/other/**",)})
        call = registry.call("LineageService.GetCertificate", by=nobody, name=NAME)
        assert (await refusal(call))[1] == "PERMISSION_MISSING"

    with_registry(tmp_path, test)


def test_certificate_names_rules_figures_and_who_approved(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await registry.register("1.0.0")
        await registry.call(
            "PolicyService.SetPromotionPolicy",
            policy={
                "name": f"{PARENT}/policies/production",
                "models": ["*"],
                "gates": [
                    {"id": "accuracy", "expression": "candidate.metrics.accuracy.last > 0.9"}
                ],
                "approval_rules": [{"id": "one", "count": 1}],
            },
        )
        asked = await registry.call(
            "ReviewService.RequestTransition", version=NAME, by=caller("ada")
        )
        await registry.call(
            "ReviewService.ReviewTransition",
            name=asked.request.name,
            decision=1,
            comment="looks right",
            reviewed_digest=asked.request.reviewed_digest,
            by=caller("rosa"),
        )
        await registry.move("1.0.0", "PRODUCTION")

        stay = stated(await certificate(registry))["predicate"]["stages"][-1]
        outcomes = {one["rule"]: one["outcome"] for one in stay["decision"]["rules"]}
        assert outcomes == {"gates/accuracy": "PASS", "approvals/one": "PASS"}
        gate = next(one for one in stay["decision"]["rules"] if one["rule"] == "gates/accuracy")
        assert "0.97" in gate["figures"].values()
        assert stay["decision"]["broke_glass"] is False
        (approval,) = stay["approvals"]
        assert approval["by"]["id"] == "user:demo:rosa"
        assert approval["comment"] == "looks right"
        entry = (await registry.ledger())[approval["ledgerPosition"] - 1]
        assert (entry.action, approval["ledgerHash"]) == ("transition.review", entry.hash.hex())

    with_registry(tmp_path, test)
