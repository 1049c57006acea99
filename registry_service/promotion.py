"""Changing stages. Every path that does so ends in `change_stage`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry_service.ledger import Draft, Entry, Outcome
from registry_service.names import NO_VERSION
from registry_service.policy_evaluation import NO_POLICY, Verdict, evaluate
from registry_service.promotion_refusals import (
    PolicyNotMetError,
    break_glass_refused,
    verdict_in_ledger,
    words_in_ledger,
)
from registry_service.records import Cause, Stage, Stay, Version, VersionState
from registry_service.stages import ALLOWED_MOVES, is_allowed, permission_for
from registry_service.transition_request_records import Ending
from service_chassis.errors import Code, StudbookError, failed_precondition, not_found
from service_chassis.etags import check_etag

if TYPE_CHECKING:
    from registry_service.canonical_json import JsonObject
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller

PROMOTE = "models.promote"
BREAK_GLASS = "models.break_glass"


@dataclass(frozen=True, slots=True)
class StageChange:
    """A wish to move a version.

    Attributes:
        version: Name of the version.
        to_stage: Where to.
        cause: REQUESTED or ROLLBACK.
        reason: Why, in the caller's words.
        etag: The version's etag as the caller knows it; empty means any.
        expected_production: Name of the version that the caller believes to be in Production,
            empty for none; None means that it does not matter.
        break_glass: Whether policies are to be passed by.
    """

    version: str
    to_stage: Stage
    cause: Cause = Cause.REQUESTED
    reason: str = ""
    etag: str = ""
    expected_production: str | None = None
    break_glass: bool = False


@dataclass(frozen=True, slots=True)
class StageChanged:
    """What became of a wish.

    Attributes:
        version: The version as it is now.
        transition: The change; None when nothing was changed.
        displaced: The version that left Production for it, or would have to.
        unchanged: Whether the version stood there already.
        verdict: What the policies said.
    """

    version: Version
    transition: Stay | None
    displaced: Version | None
    unchanged: bool = False
    verdict: Verdict = NO_POLICY


def change_stage(
    store: RegistryStore, caller: Caller, change: StageChange, *, run_is_held: bool
) -> StageChanged:
    """Move a version to a stage. The only function that does.

    Must run in a write transaction. Entering Production archives the version that is there.

    Args:
        store: The tables.
        caller: Who wants it.
        change: What is wanted.
        run_is_held: Whether the tracking service has promised to keep the version's run. Without
            that no version enters Production for the first time.

    Raises:
        StudbookError: As `examine`; or TRANSACTION_CONFLICT when run_is_held would have to be
            true, because things changed since the caller looked.
    """
    store.models.hold(change.version.rsplit("/versions/", 1)[0])
    # From here on no policy changes until this transaction is over.
    store.ledger.lock()
    found = examine(store, caller, change)
    if found.unchanged:
        return found
    if needs_hold(found, change) and not run_is_held:
        raise StudbookError(
            Code.ABORTED,
            "TRANSACTION_CONFLICT",
            f"{change.version} was changed by somebody else in this moment; repeat the call.",
        )
    return _carry_out(store, caller, change, found)


def examine(store: RegistryStore, caller: Caller, change: StageChange) -> StageChanged:
    """Check everything that `change_stage` checks, and change nothing.

    Raises:
        StudbookError: PERMISSION_MISSING, NOT_FOUND, ETAG_MISMATCH, PRODUCTION_CHANGED,
            TRANSITION_NOT_ALLOWED, VERSION_NOT_READY, POLICY_NOT_MET or BREAK_GLASS_REFUSED.
    """
    if change.to_stage is Stage.PRODUCTION:
        # Before a look at what exists, so that a refusal tells nothing about it.
        caller.require(PROMOTE, change.version)
    version = store.versions.find(change.version)
    if version is None:
        raise not_found(change.version)
    if version.stage is change.to_stage:
        return StageChanged(version, None, None, unchanged=True)
    caller.require(permission_for(version.stage, change.to_stage), version.name)
    present = store.versions.latest_in(version.model_uid, Stage.PRODUCTION)
    displaced = present if change.to_stage is Stage.PRODUCTION else None
    if displaced is not None:
        caller.require(PROMOTE, displaced.name)
    check_etag(change.etag, version.etag, version.name)
    _check_expected(change, version, present)
    check_move(version, change.to_stage)
    verdict = NO_POLICY
    if change.to_stage is Stage.PRODUCTION:
        verdict = evaluate(store, version, present, change.cause)
        _check_policies(caller, change, version, verdict)
    return StageChanged(version, None, displaced, verdict=verdict)


def _check_policies(
    caller: Caller, change: StageChange, version: Version, verdict: Verdict
) -> None:
    if not change.break_glass:
        if verdict.unmet:
            raise PolicyNotMetError(version, verdict)
        return
    caller.require(BREAK_GLASS, version.name)
    in_the_way = {result.policy for result in verdict.unmet}
    for policy in verdict.policies:
        allowed = policy.break_glass.allowed
        enough = len(change.reason.strip()) >= policy.break_glass.min_reason_length
        if policy.name in in_the_way and not (allowed and enough):
            raise break_glass_refused(policy, change.reason)


def needs_hold(found: StageChanged, change: StageChange) -> bool:
    """Whether the tracking service has to be asked to keep the version's run.

    Once is enough: what was in Production before can return without any other service.
    """
    entering = change.to_stage is Stage.PRODUCTION and not found.unchanged
    return entering and not found.version.was_in_production


def record_refusal(
    store: RegistryStore, caller: Caller, change: StageChange, refusal: StudbookError
) -> None:
    """Enter in the ledger that somebody tried to move a version, and was not let.

    For a rollback that names no version `change.version` is the model's name. What does not exist
    gets no entry.
    """
    name = change.version
    if store.versions.find(name) is None and store.models.uid(name) is None:
        return
    content: JsonObject = {
        "to_stage": change.to_stage.name,
        "cause": change.cause.name,
        "requested_because": change.reason,
        "break_glass": change.break_glass,
        **_why_refused(refusal),
    }
    store.ledger.append(
        Draft(
            actor=caller.principal,
            action="version.transition",
            resource=name,
            content=content,
            reason=words_in_ledger(refusal),
            outcome=Outcome.REFUSED,
        )
    )


def _why_refused(refusal: StudbookError) -> JsonObject:
    if isinstance(refusal, PolicyNotMetError):
        return verdict_in_ledger(refusal.verdict)
    if "permission" in refusal.metadata:
        return {
            "permission": refusal.metadata["permission"],
            "permission_on": refusal.metadata["resource"],
        }
    return {"refused_by": refusal.reason}


def _check_expected(change: StageChange, version: Version, present: Version | None) -> None:
    actual = present.name if present else ""
    if change.expected_production in {None, actual}:
        return
    expected = change.expected_production or NO_VERSION
    raise StudbookError(
        Code.ABORTED,
        "PRODUCTION_CHANGED",
        f"In Production of {version.model} is {actual or NO_VERSION}, not {expected} as expected; "
        "look again and repeat.",
        metadata={"model": version.model, "expected": expected, "actual": actual or NO_VERSION},
    )


def check_move(version: Version, to_stage: Stage) -> None:
    """Make sure that the stage table lets a version move, and that it is verified.

    Raises:
        StudbookError: TRANSITION_NOT_ALLOWED or VERSION_NOT_READY.
    """
    if not is_allowed(version.stage, to_stage, was_in_production=version.was_in_production):
        moves = ", ".join(
            stage.name
            for stage in sorted(ALLOWED_MOVES[version.stage])
            if is_allowed(version.stage, stage, was_in_production=version.was_in_production)
        )
        raise failed_precondition(
            "TRANSITION_NOT_ALLOWED",
            version.name,
            f"{version.name} is in stage {version.stage.name} and cannot move to {to_stage.name}; "
            f"it can move to {moves}.",
            **{"from": version.stage.name, "to": to_stage.name},
        )
    if version.state is not VersionState.READY:
        raise not_ready(version)


def not_ready(version: Version) -> StudbookError:
    """FAILED_PRECONDITION for a version whose files are not verified."""
    remedy = (
        "its files are still being verified; try again shortly"
        if version.state is VersionState.PENDING
        else f"its files failed to verify ({version.state_reason}); register a new version"
    )
    return failed_precondition(
        "VERSION_NOT_READY",
        version.name,
        f"{version.name} is {version.state.name}: {remedy}.",
        resource=version.name,
        state=version.state.name,
    )


def _carry_out(
    store: RegistryStore, caller: Caller, change: StageChange, found: StageChanged
) -> StageChanged:
    version, displaced = found.version, found.displaced
    entry = _enter(store, caller, change, found)
    if displaced is not None:
        displaced = _displace(store, caller, displaced, entry)
    moved, transition = _move(
        store, version, change.to_stage, entry, change.cause, broke_glass=change.break_glass
    )
    if change.to_stage is Stage.PRODUCTION:
        request = store.requests.open_of(version.uid)
        if request is not None:
            store.requests.end(request.ended(Ending.APPLIED, entry))
    return StageChanged(moved, transition, displaced, verdict=found.verdict)


def _enter(
    store: RegistryStore,
    caller: Caller,
    change: StageChange,
    found: StageChanged,
) -> Entry:
    version, displaced = found.version, found.displaced
    content: JsonObject = {
        "version_uid": version.uid,
        "version_digest": f"sha256:{version.digest}",
        "cause": change.cause.name,
        "before": {"stage": version.stage.name},
        "after": {"stage": change.to_stage.name},
        "displaced": displaced.name if displaced else None,
        "broke_glass": change.break_glass,
        **verdict_in_ledger(found.verdict),
    }
    return store.ledger.append(
        Draft(caller.principal, "version.transition", version.name, content, change.reason)
    )


def _displace(store: RegistryStore, caller: Caller, version: Version, cause: Entry) -> Version:
    content: JsonObject = {
        "version_uid": version.uid,
        "version_digest": f"sha256:{version.digest}",
        "cause": Cause.DISPLACED.name,
        "before": {"stage": Stage.PRODUCTION.name},
        "after": {"stage": Stage.ARCHIVED.name},
        "effective_time": cause.create_us,
    }
    entry = store.ledger.append(
        Draft(
            caller.principal,
            "version.transition",
            version.name,
            content,
            cause.reason,
            caused_by=cause.position,
        )
    )
    moved, _ = _move(
        store, version, Stage.ARCHIVED, entry, Cause.DISPLACED, start_us=cause.create_us
    )
    return moved


def _move(
    store: RegistryStore,
    version: Version,
    to_stage: Stage,
    entry: Entry,
    cause: Cause,
    *,
    start_us: int | None = None,
    broke_glass: bool = False,
) -> tuple[Version, Stay]:
    """Write down a move whose ledger entry is made.

    A displaced version leaves in the instant in which the other enters, which is that of the
    other's entry, a microsecond before its own.
    """
    start_us = entry.create_us if start_us is None else start_us
    stay = Stay(
        position=entry.position,
        model=version.model,
        version_uid=version.uid,
        version=version.name,
        from_stage=version.stage,
        to_stage=to_stage,
        cause=cause,
        caused_by=entry.caused_by,
        reason=entry.reason,
        actor=entry.actor,
        start_us=start_us,
        end_us=None,
        broke_glass=broke_glass,
    )
    moved = replace(
        version,
        stage=to_stage,
        stage_us=start_us,
        stage_position=entry.position,
        was_in_production=version.was_in_production or to_stage is Stage.PRODUCTION,
        update_us=entry.create_us,
        change_position=entry.position,
    )
    store.stays.end(version.uid, start_us)
    store.versions.save(moved)
    store.stays.begin(stay, version.model_uid)
    return moved, stay
