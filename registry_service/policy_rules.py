"""The rules of a policy beside gates and approvals: completeness, freezes, time in Staging."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from registry_service.policy_records import RuleOutcome, RuleResult
from registry_service.records import Stage
from service_chassis.timestamps import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from registry_service.gate_facts import Facts
    from registry_service.policy_records import Policy

SIGNATURE_FILE = "signature.json"


def completeness_results(policy: Policy, candidate: Facts) -> Iterator[RuleResult]:
    """Whether a version can show how it was made."""
    wanted, known = policy.completeness, candidate.values
    if wanted.clean_commit:
        yield _result(policy, "completeness/clean-commit", "a clean commit", _unclean(known))
    for role in wanted.dataset_roles:
        there = role in candidate.digested_roles
        problem = "" if there else f"the run has no dataset of the role {role} with a digest"
        yield _result(policy, f"completeness/dataset-{role}", f"a {role} dataset", problem)
    if wanted.environment:
        environment = known.get("environment", {})
        lacking = [
            name for name in ("python_version", "platform", "packages") if not environment.get(name)
        ]
        problem = f"the run recorded no {', '.join(lacking)}" if lacking else ""
        yield _result(policy, "completeness/environment", "the environment", problem)
    if wanted.signature:
        there = any(path.rpartition("/")[2] == SIGNATURE_FILE for path in known["files"])
        problem = "" if there else f"the version has no file {SIGNATURE_FILE}"
        yield _result(policy, "completeness/signature", "a signature of inputs", problem)


def freeze_results(policy: Policy, now_us: int) -> Iterator[RuleResult]:
    """Whether nothing may enter Production now."""
    for number, freeze in enumerate(policy.freezes, 1):
        frozen = freeze.start_us <= now_us < freeze.end_us
        because = f": {freeze.reason}" if freeze.reason else ""
        problem = f"frozen until {to_text(freeze.end_us)}{because}" if frozen else ""
        title = f"not from {to_text(freeze.start_us)} until {to_text(freeze.end_us)}"
        yield _result(policy, f"freezes/{number}", title, problem)


def staging_result(policy: Policy, candidate: Facts, now_us: int) -> Iterator[RuleResult]:
    """Whether a version has stood in Staging for long enough."""
    wanted = policy.min_time_in_staging_us
    if not wanted:
        return
    version = candidate.version
    stood = max(0, now_us - version.stage_us) if version.stage is Stage.STAGING else 0
    problem = ""
    if stood < wanted:
        where = "" if version.stage is Stage.STAGING else ", it is in " + version.stage.name
        problem = f"it has stood there for {_span(stood)} of {_span(wanted)}{where}"
    yield _result(
        policy,
        "time-in-staging",
        f"at least {_span(wanted)} in Staging",
        problem,
        {"seconds_in_staging": str(stood // 1_000_000), "wanted": str(wanted // 1_000_000)},
    )


def _unclean(known: Mapping[str, Any]) -> str:
    code = known.get("code", {})
    if not code.get("commit"):
        return "the run recorded no commit"
    return "the run had changes that were not committed" if code.get("dirty") else ""


def _result(
    policy: Policy, rule: str, title: str, problem: str, figures: Mapping[str, str] | None = None
) -> RuleResult:
    return RuleResult(
        policy=policy.name,
        revision=policy.revision,
        rule=rule,
        title=title,
        outcome=RuleOutcome.FAIL if problem else RuleOutcome.PASS,
        message=problem or "holds",
        figures=figures or {},
    )


def _span(us: int) -> str:
    return str(timedelta(seconds=us // 1_000_000))
