"""How the code of two runs differs: the range between their commits, and where to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.repository_pages import is_same_repository, page_of_range

if TYPE_CHECKING:
    from tracking_service.records import Code


@dataclass(frozen=True, slots=True)
class CodeDifference:
    """How a run's code differs from the baseline's; the fields are those of the contract."""

    same: bool
    commit_range: str = ""
    compare_url: str = ""
    diff_artifact: str = ""


def compare_code(baseline: Code | None, code: Code | None) -> CodeDifference:
    """How the code of a run differs from that of the baseline; None is code that is not known."""
    patch = "" if code is None else code.diff_artifact
    if baseline is None or code is None or not baseline.commit or not code.commit:
        return CodeDifference(same=False, diff_artifact=patch)
    if baseline.commit == code.commit:
        return CodeDifference(same=_same_changes(baseline, code), diff_artifact=patch)
    if not is_same_repository(baseline.repository, code.repository):
        return CodeDifference(same=False, diff_artifact=patch)
    return CodeDifference(
        same=False,
        commit_range=f"{baseline.commit}..{code.commit}",
        compare_url=page_of_range(code.repository, baseline.commit, code.commit),
        diff_artifact=patch,
    )


def _same_changes(baseline: Code, code: Code) -> bool:
    known = all(of.diff_digest or of.untracked_count or not of.dirty for of in (baseline, code))
    return known and baseline.diff_digest == code.diff_digest
