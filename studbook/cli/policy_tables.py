"""Promotion policies, and how their rules turned out, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.model_tables import who
from studbook.cli.references import last_segment, short_version
from studbook.registry.v1.policy_pb2 import GateMode, RuleOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.registry.v1.policy_pb2 import PromotionPolicy, RuleResult
    from studbook.registry.v1.promotion_service_pb2 import ExplainTransitionResponse


def print_policies(policies: Iterable[PromotionPolicy]) -> None:
    """One line for each policy or revision."""
    rows = (
        (
            last_segment(policy.name),
            str(policy.revision or output.MISSING),
            " ".join(policy.models),
            str(len(policy.gates)),
            str(sum(rule.count for rule in policy.approval_rules)),
            output.format_second(policy.update_time)
            if policy.HasField("update_time")
            else output.MISSING,
            who(policy.updater) if policy.HasField("updater") else output.MISSING,
            policy.description or output.MISSING,
        )
        for policy in policies
    )
    output.print_table(
        ("POLICY", "REVISION", "MODELS", "GATES", "APPROVALS", "SET", "BY", "DESCRIPTION"), rows
    )


def print_explanation(answer: ExplainTransitionResponse, version: str) -> None:
    """Whether a version may enter Production, and every rule."""
    verdict = "yes" if answer.could_enter else "no"
    fields = [
        ("Version", version),
        ("May enter Production", verdict),
        ("Beside", short_version(answer.production) if answer.production else "nothing"),
    ]
    if answer.obstacle:
        fields.append(("Obstacle", answer.obstacle))
    if answer.request:
        fields.append(("Open request", last_segment(answer.request)))
    output.print_fields(fields)
    if answer.rule_results:
        output.print_heading("Rules")
        print_rules(answer.rule_results)


def print_rules(results: Iterable[RuleResult]) -> None:
    """One line for each rule."""
    rows = (
        (
            f"{last_segment(result.policy)}/{result.rule}",
            outcome_text(result),
            result.title,
            result.message,
        )
        for result in results
    )
    output.print_table(("RULE", "OUTCOME", "TITLE", "WHY"), rows)


def outcome_text(result: RuleResult) -> str:
    """The outcome in one word, with the mode where it is not enforced."""
    outcome = RuleOutcome.Name(result.outcome).removeprefix("RULE_OUTCOME_").lower()
    if result.mode in {GateMode.GATE_MODE_WARN, GateMode.GATE_MODE_DRY_RUN}:
        mode = GateMode.Name(result.mode).removeprefix("GATE_MODE_").lower().replace("_", " ")
        return f"{outcome} ({mode})"
    return outcome
