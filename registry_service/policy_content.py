"""A policy as canonical JSON and back: what is stored, and what its digest is over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from registry_service.canonical_json import canonical_json
from registry_service.policy_records import (
    ApprovalRule,
    BreakGlass,
    Completeness,
    Freeze,
    Gate,
    GateMode,
    OnMissing,
    Policy,
)

if TYPE_CHECKING:
    from service_chassis.caller import Principal

# What the registry gives; everything else was set.
_GIVEN = ("name", "revision", "digest", "update_us", "updater")


def content_json(policy: Policy) -> str:
    """What was set, as canonical JSON. Enums stand there by their names."""
    members = {name: value for name, value in asdict(policy).items() if name not in _GIVEN}
    for gate in members["gates"]:
        gate["mode"] = GateMode(gate["mode"]).name
        gate["on_missing"] = OnMissing(gate["on_missing"]).name
    return canonical_json(_lists(members))


def digest_of(content: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


@lru_cache(maxsize=1024)
def read_policy(
    name: str, revision: int, digest: str, content: str, update_us: int, updater: Principal
) -> Policy:
    """A policy as it was stored."""
    members: dict[str, Any] = json.loads(content)
    return Policy(
        name=name,
        revision=revision,
        digest=digest,
        models=tuple(members["models"]),
        description=members["description"],
        gates=tuple(
            Gate(
                **{
                    **gate,
                    "mode": GateMode[gate["mode"]],
                    "on_missing": OnMissing[gate["on_missing"]],
                }
            )
            for gate in members["gates"]
        ),
        completeness=Completeness(**_tuples(members["completeness"])),
        approval_rules=tuple(ApprovalRule(**_tuples(rule)) for rule in members["approval_rules"]),
        approval_lifetime_us=members["approval_lifetime_us"],
        freezes=tuple(Freeze(**freeze) for freeze in members["freezes"]),
        min_time_in_staging_us=members["min_time_in_staging_us"],
        gates_on_rollback=members["gates_on_rollback"],
        break_glass=BreakGlass(**members["break_glass"]),
        update_us=update_us,
        updater=updater,
    )


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(one) for one in value]
    return value


def _tuples(members: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in members.items()
    }
