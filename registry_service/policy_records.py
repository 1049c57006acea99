"""Promotion policies, as plain values; policy.proto says what each field means.

Times are microseconds since 1970-01-01T00:00:00Z, lengths of time microseconds. Enum numbers are
those of the contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.caller import Principal

WEEK_US = 7 * 24 * 3600 * 1_000_000


class GateMode(IntEnum):
    """What a rule that does not pass does."""

    ENFORCE = 1
    WARN = 2
    DRY_RUN = 3


class OnMissing(IntEnum):
    """What happens to a gate that needs a value that is not there."""

    BLOCK = 1
    SKIP_PRODUCTION = 2
    SKIP = 3


class RuleOutcome(IntEnum):
    """How a rule turned out."""

    PASS = 1
    FAIL = 2
    INCONCLUSIVE = 3
    ERROR = 4


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition in CEL."""

    id: str
    expression: str
    title: str = ""
    mode: GateMode = GateMode.ENFORCE
    on_missing: OnMissing = OnMissing.BLOCK


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a version must be able to show about how it was made."""

    clean_commit: bool = False
    dataset_roles: tuple[str, ...] = ()
    environment: bool = False
    signature: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """So many distinct people of certain groups."""

    id: str
    count: int
    approvers: tuple[str, ...] = ()
    author_may_approve: bool = False
    requester_may_approve: bool = False


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time, its end not included, during which nothing enters Production."""

    start_us: int
    end_us: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Whether a policy may be passed by, and the least length of the reason in characters."""

    allowed: bool = False
    min_reason_length: int = 20


@dataclass(frozen=True, slots=True)
class Policy:
    """One revision of a policy.

    Attributes:
        name: Resource name.
        digest: SHA-256 in hexadecimal over the canonical JSON of what was set.
    """

    name: str
    revision: int
    digest: str
    models: tuple[str, ...]
    description: str = ""
    gates: tuple[Gate, ...] = ()
    completeness: Completeness = field(default_factory=Completeness)
    approval_rules: tuple[ApprovalRule, ...] = ()
    approval_lifetime_us: int = WEEK_US
    freezes: tuple[Freeze, ...] = ()
    min_time_in_staging_us: int = 0
    gates_on_rollback: bool = False
    break_glass: BreakGlass = field(default_factory=BreakGlass)
    update_us: int = 0
    updater: Principal | None = None

    @property
    def etag(self) -> str:
        """Changes with every revision."""
        return f"{self.revision}-{self.digest[:12]}"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How one rule turned out.

    Attributes:
        rule: `gates/{id}`, `approvals/{id}` and so on.
        figures: What was read, by path, as text.
    """

    policy: str
    revision: int
    rule: str
    title: str
    outcome: RuleOutcome
    message: str
    mode: GateMode = GateMode.ENFORCE
    figures: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def blocks(self) -> bool:
        """Whether it keeps the version out of Production."""
        return self.mode is GateMode.ENFORCE and self.outcome is not RuleOutcome.PASS
