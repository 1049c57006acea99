"""Gates: conditions on candidate and Production, and how they turned out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry_service.gate_expressions import compiled
from registry_service.policy_records import OnMissing, RuleOutcome, RuleResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.gate_expressions import Path
    from registry_service.policy_records import Gate, Policy

_MISSING = "missing"
_LONGEST_FIGURE = 200


def evaluate_gate(policy: Policy, gate: Gate, sides: Mapping[str, Mapping[str, Any]]) -> RuleResult:
    """How a gate turns out.

    Args:
        policy: Whose gate it is.
        gate: The gate.
        sides: The values of `candidate` and of `production`; empty where there is none.
    """
    expression = compiled(gate.expression)
    figures = {str(path): _figure(sides, path) for path in expression.paths}
    try:
        result = expression.program.execute({side: dict(seen) for side, seen in sides.items()})
    except KeyError as error:
        missing = [path for path in expression.paths if _value(sides, path) is None]
        outcome, message = _on_missing(gate, missing, sides, str(error))
    except ArithmeticError as error:
        outcome, message = RuleOutcome.ERROR, f"{error}"
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        outcome, message = RuleOutcome.ERROR, str(error).partition(". CEL")[0]
    else:
        outcome, message = _judged(gate, result)
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


def _judged(gate: Gate, result: object) -> tuple[RuleOutcome, str]:
    if result is True:
        return RuleOutcome.PASS, "holds"
    if result is False:
        return RuleOutcome.FAIL, "does not hold"
    return RuleOutcome.ERROR, f"gave {type(result).__name__} instead of true or false"


def _on_missing(
    gate: Gate, missing: Sequence[Path], sides: Mapping[str, Mapping[str, Any]], key: str
) -> tuple[RuleOutcome, str]:
    names = ", ".join(map(str, missing)) or key
    only_production = bool(missing) and all(path.side == "production" for path in missing)
    if only_production and "version" not in sides["production"]:
        names = "no version is in Production"
    else:
        names = f"missing or not a number: {names}"
    if gate.on_missing is OnMissing.SKIP:
        return RuleOutcome.PASS, f"skipped, {names}"
    if gate.on_missing is OnMissing.SKIP_PRODUCTION and only_production:
        return RuleOutcome.PASS, f"skipped, {names}"
    return RuleOutcome.INCONCLUSIVE, names


def _explained(message: str, figures: Mapping[str, str]) -> str:
    read = "; ".join(f"{path} = {figure}" for path, figure in figures.items())
    return f"{message}: {read}" if read else message


def _value(sides: Mapping[str, Mapping[str, Any]], path: Path) -> Any:
    value: Any = sides
    for key in path.keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _figure(sides: Mapping[str, Mapping[str, Any]], path: Path) -> str:
    value = _value(sides, path)
    if value is None:
        return _MISSING
    if isinstance(value, Mapping):
        return f"{len(value)} entries"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_FIGURE else f"{text[:_LONGEST_FIGURE]}…"
