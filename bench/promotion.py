"""`python -m bench.promotion`: moves into Production, with and without gates, through the gateway.

Beside them stands the cheapest call there is on the same port. Each move is durable, archives the
version that was there, and is entered twice in the ledger.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.__main__ import transport_limit
from bench.story import WORKSPACE, Story
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.registry.v1 import (
    policy_pb2,
    policy_service_pb2,
    promotion_service_pb2,
)

if TYPE_CHECKING:
    from local_stack.stack import Addresses

CALLS = 200
# What policies ask for in practice: figures beside Production's, data, code, size.
GATES = (
    "candidate.metrics.loss.last <= production.metrics.loss.last + 2.0",
    "candidate.metrics.loss.count > 0",
    "size(candidate.files) < 100",
    'candidate.files["model.bin"].size_bytes < 1000000',
    '!has(candidate.code.commit) || candidate.code.commit != ""',
)


def set_gates(addresses: Addresses) -> None:
    """Put a policy of five gates in force, which all versions meet."""
    token = FixedToken(login.as_demo_person(addresses.gateway, "olga").access_token)
    policy = policy_pb2.PromotionPolicy(
        name=f"{WORKSPACE}/policies/bench",
        models=["*"],
        gates=[
            policy_pb2.Gate(id=f"gate-{number}", expression=expression)
            for number, expression in enumerate(GATES)
        ],
    )
    with Client(addresses.gateway, workspace="main", token_source=token) as client:
        client.policies.SetPromotionPolicy(
            policy_service_pb2.SetPromotionPolicyRequest(policy=policy)
        )


def explain(addresses: Addresses, version: str) -> promotion_service_pb2.ExplainTransitionResponse:
    """How the gates turn out for a version."""
    token = FixedToken(login.as_demo_person(addresses.gateway, "ada").access_token)
    with Client(addresses.gateway, workspace="main", token_source=token) as client:
        return client.promotions.ExplainTransition(
            promotion_service_pb2.ExplainTransitionRequest(name=version)
        )


def measure(stack: LocalStack) -> dict[str, object]:
    """All figures."""
    story = Story(stack, points=1000)
    figures: dict[str, object] = {
        "limit: health check": transport_limit(str(stack.addresses.gateway)),
        "promote, no policy": latency(story.promote, CALLS),
    }
    set_gates(stack.addresses)
    outcomes = explain(stack.addresses, f"{story.model}/versions/1.0.0").rule_results
    if len(outcomes) != len(GATES) or any(one.blocks for one in outcomes):
        message = f"the gates do not pass: {outcomes}"
        raise RuntimeError(message)
    figures["promote, 5 gates"] = latency(story.promote, CALLS)
    return figures


def main() -> None:
    """Start a stack, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder / "stack", Ports.from_base(0)) as stack:
            print(json.dumps(measure(stack), indent=2))


if __name__ == "__main__":
    main()
