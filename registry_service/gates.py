"""Gates: conditions on candidate and Production, and how they turned out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from registry_service.gate_cost import MOST_STEPS
from registry_service.gate_expressions import (
    EvaluationError,
    ExpressionError,
    MissingError,
    activation,
    compiled,
)
from registry_service.policy_records import OnMissing, RuleOutcome, RuleResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.gate_expressions import Expression
    from registry_service.gate_syntax import Path
    from registry_service.policy_records import Gate, Policy

_MISSING = "missing"
_LONGEST_FIGURE = 200


@dataclass(frozen=True)
class Sides:
    """What all gates of a decision read; without a version in Production that side is empty."""

    candidate: Mapping[str, Any]
    production: Mapping[str, Any]

    @cached_property
    def activation(self) -> Any:
        """Both, made ready for the library."""
        return activation({"candidate": self.candidate, "production": self.production})

    def value(self, path: Path) -> Any:
        """What there is at a path; None where there is nothing."""
        value: Any = {"candidate": self.candidate, "production": self.production}
        for key in path.keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def evaluate_gate(policy: Policy, gate: Gate, sides: Sides) -> RuleResult:
    """How a gate turns out.

    Args:
        policy: Whose gate it is.
        gate: The gate.
        sides: What it reads.
    """
    figures: dict[str, str] = {}
    try:
        expression = compiled(gate.expression)
        figures = {str(path): _figure(sides, path) for path in expression.paths}
        outcome, message = _outcome(gate, expression, sides)
    except (ExpressionError, EvaluationError) as error:
        # An expression that was set can be one that is no longer accepted: before an update, say.
        outcome, message = RuleOutcome.ERROR, str(error)
    return RuleResult(
        policy=policy.name,
        revision=policy.revision,
        rule=f"gates/{gate.id}",
        title=gate.title or gate.expression,
        outcome=outcome,
        message=_explained(message, figures),
        mode=gate.mode,
        figures=figures,
    )


def _outcome(gate: Gate, expression: Expression, sides: Sides) -> tuple[RuleOutcome, str]:
    _check_cost(expression, sides)
    try:
        result = expression.evaluate(sides.activation)
    except MissingError as error:
        missing = [path for path in expression.paths if sides.value(path) is None]
        return _on_missing(gate, missing, sides, str(error))
    if result is True:
        return RuleOutcome.PASS, "holds"
    if result is False:
        return RuleOutcome.FAIL, "does not hold"
    return RuleOutcome.ERROR, f"gave {type(result).__name__} instead of true or false"


def _on_missing(
    gate: Gate, missing: Sequence[Path], sides: Sides, key: str
) -> tuple[RuleOutcome, str]:
    names = ", ".join(map(str, missing)) or key
    only_production = bool(missing) and all(path.side == "production" for path in missing)
    if only_production and "version" not in sides.production:
        names = "no version is in Production"
    else:
        names = f"missing or not a number: {names}"
    if gate.on_missing is OnMissing.SKIP:
        return RuleOutcome.PASS, f"skipped, {names}"
    if gate.on_missing is OnMissing.SKIP_PRODUCTION and only_production:
        return RuleOutcome.PASS, f"skipped, {names}"
    return RuleOutcome.INCONCLUSIVE, names


def _explained(message: str, figures: Mapping[str, str]) -> str:
    read = "; ".join(
        f"{path} = {figure}"
        for path, figure in figures.items()
        # What the message names as missing already.
        if figure != _MISSING or path not in message
    )
    return f"{message}: {read}" if read else message


def _check_cost(expression: Expression, sides: Sides) -> None:
    steps = expression.shape.steps(sides.value)
    if steps > MOST_STEPS:
        message = f"it would take up to {steps} steps; at most {MOST_STEPS} are allowed"
        raise EvaluationError(message)


def _figure(sides: Sides, path: Path) -> str:
    value = sides.value(path)
    if value is None:
        return _MISSING
    if isinstance(value, Mapping):
        return f"{len(value)} entries"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    # It is printed in terminals, of people who did not choose it.
    text = "".join(one if one.isprintable() else "\ufffd" for one in text[: _LONGEST_FIGURE + 1])
    return text if len(text) <= _LONGEST_FIGURE else f"{text[:_LONGEST_FIGURE]}…"
