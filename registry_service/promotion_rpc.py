"""PromotionService: stages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from registry_service.explanation import explain
from registry_service.names import parse_expected_production, parse_version_name
from registry_service.policy_conversion import to_rule_result
from registry_service.promotion import (
    StageChange,
    change_stage,
    examine,
    needs_hold,
    record_refusal,
)
from registry_service.proto_conversion import read_stage, to_transition, to_version
from registry_service.records import Cause, Stage
from registry_service.rollback import rollback_target
from registry_service.tracking_client import HOLD_RUN
from service_chassis.caller import current_caller
from service_chassis.errors import StudbookError, invalid_field, not_found
from service_chassis.listing import PageRequest
from service_chassis.resource_names import MODEL
from service_chassis.validation import check_text
from studbook.registry.v1 import promotion_service_pb2 as messages
from studbook.registry.v1.promotion_service_pb2_grpc import PromotionServiceServicer

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc.aio import ServicerContext

    from registry_service.promotion import StageChanged
    from registry_service.records import Stay
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.tracking_client import TrackingClient
    from service_chassis.caller import Caller
    from service_chassis.page_tokens import PageTokens

LONGEST_REASON = 4096
# Refusals that are themselves entered in the ledger.
_IN_LEDGER = frozenset({"PERMISSION_MISSING", "POLICY_NOT_MET", "BREAK_GLASS_REFUSED"})

Response = TypeVar("Response", bound=Message)


class PromotionService(PromotionServiceServicer):
    """Moves versions between stages.

    Args:
        database: The registry's database.
        tracking: Is asked to keep the run of what enters Production.
        tokens: Seals page tokens.
    """

    def __init__(
        self, database: RegistryDatabase, tracking: TrackingClient, tokens: PageTokens
    ) -> None:
        self._database = database
        self._tracking = tracking
        self._tokens = tokens

    async def TransitionStage(
        self,
        request: messages.TransitionStageRequest,
        _context: ServicerContext[
            messages.TransitionStageRequest, messages.TransitionStageResponse
        ],
    ) -> messages.TransitionStageResponse:
        """Move a version to a stage."""
        name = parse_version_name(request.name)
        change = StageChange(
            version=str(name),
            to_stage=read_stage(request.to_stage, "to_stage"),
            reason=check_text(request.reason, "reason", LONGEST_REASON),
            etag=request.etag,
            expected_production=parse_expected_production(request.expected_production, name.model),
            break_glass=request.break_glass,
        )
        caller = current_caller()
        if request.validate_only:
            found = await self._database.read(lambda store: examine(store, caller, change))
            return _transition_response(found)
        run_is_held = await self._hold_run(caller, change)
        return await self._change(
            caller,
            request,
            messages.TransitionStageResponse,
            lambda store: _transition_response(
                change_stage(store, caller, change, run_is_held=run_is_held)
            ),
            change,
        )

    async def Rollback(
        self,
        request: messages.RollbackRequest,
        _context: ServicerContext[messages.RollbackRequest, messages.RollbackResponse],
    ) -> messages.RollbackResponse:
        """Put an earlier version back into Production."""
        MODEL.parse(request.name)
        _check_to_version(request)
        reason = check_text(request.reason, "reason", LONGEST_REASON)
        expected = parse_expected_production(request.expected_production, request.name)
        caller = current_caller()

        wanted = StageChange(
            version=request.to_version,
            to_stage=Stage.PRODUCTION,
            cause=Cause.ROLLBACK,
            reason=reason,
            expected_production=expected,
        )

        def find_target(store: RegistryStore) -> StageChange:
            target = rollback_target(store, caller, request.name, request.to_version)
            return replace(wanted, version=target)

        if request.validate_only:
            found = await self._database.read(
                lambda store: examine(store, caller, find_target(store))
            )
            return _rollback_response(found)

        def work(store: RegistryStore) -> messages.RollbackResponse:
            # Before the target is looked for, so that it is still the right one afterwards.
            store.models.hold(request.name)
            change = find_target(store)
            return _rollback_response(change_stage(store, caller, change, run_is_held=False))

        return await self._change(
            caller,
            request,
            messages.RollbackResponse,
            work,
            # Whoever names no version has tried it on the model.
            replace(wanted, version=request.to_version or request.name),
        )

    async def ExplainTransition(
        self,
        request: messages.ExplainTransitionRequest,
        _context: ServicerContext[
            messages.ExplainTransitionRequest, messages.ExplainTransitionResponse
        ],
    ) -> messages.ExplainTransitionResponse:
        """Say what each rule would do to a move into Production."""
        name = str(parse_version_name(request.name))

        def work(store: RegistryStore) -> messages.ExplainTransitionResponse:
            found = explain(store, name)
            return messages.ExplainTransitionResponse(
                rule_results=map(to_rule_result, found.verdict.results),
                could_enter=found.could_enter,
                obstacle=found.obstacle,
                production=found.production,
                request=found.request,
            )

        return await self._database.read(work)

    async def ListTransitions(
        self,
        request: messages.ListTransitionsRequest,
        _context: ServicerContext[
            messages.ListTransitionsRequest, messages.ListTransitionsResponse
        ],
    ) -> messages.ListTransitionsResponse:
        """List the transitions of a model, newest first."""
        MODEL.parse(request.parent, "parent")
        page = PageRequest.read(request, default_order="create_time desc", tokens=self._tokens)

        def work(store: RegistryStore) -> tuple[list[Stay], str]:
            uid = store.models.uid(request.parent)
            if uid is None:
                raise not_found(request.parent)
            return store.stays.page(uid, page)

        stays, token = await self._database.read(work)
        return messages.ListTransitionsResponse(
            transitions=map(to_transition, stays), next_page_token=token
        )

    async def _hold_run(self, caller: Caller, change: StageChange) -> bool:
        """Have the run of a version kept, if the change is to bring it into Production anew.

        What is wrong with the change is for the transaction to say: a request that was answered
        before must get its answer again, whatever has become of the version since.
        """
        if change.to_stage is not Stage.PRODUCTION:
            return False
        try:
            found = await self._database.read(lambda store: examine(store, caller, change))
        except StudbookError:
            return False
        if not needs_hold(found, change):
            return False
        version = found.version
        await self._tracking.hold_run(caller, version.source_run, version.name, HOLD_RUN)
        return True

    async def _change(
        self,
        caller: Caller,
        request: messages.TransitionStageRequest | messages.RollbackRequest,
        response_type: type[Response],
        work: Callable[[RegistryStore], Response],
        wanted: StageChange,
    ) -> Response:
        """Make a change, and enter it in the ledger when it is refused."""
        try:
            return await self._database.write_once(caller, request, response_type, work)
        except StudbookError as refusal:
            if refusal.reason in _IN_LEDGER:
                error = refusal
                await self._database.write(
                    lambda store: record_refusal(store, caller, wanted, error)
                )
            raise


def _check_to_version(request: messages.RollbackRequest) -> None:
    if not request.to_version:
        return
    if parse_version_name(request.to_version, "to_version").model != request.name:
        raise invalid_field(
            "to_version", request.to_version, f"it must be a version of {request.name}"
        )


def _transition_response(found: StageChanged) -> messages.TransitionStageResponse:
    response = messages.TransitionStageResponse(
        version=to_version(found.version),
        unchanged=found.unchanged,
        rule_results=map(to_rule_result, found.verdict.results),
    )
    if found.transition is not None:
        response.transition.CopyFrom(to_transition(found.transition))
        response.ledger_position = found.transition.position
    if found.displaced is not None:
        response.displaced.CopyFrom(to_version(found.displaced))
    return response


def _rollback_response(found: StageChanged) -> messages.RollbackResponse:
    response = messages.RollbackResponse(version=to_version(found.version))
    if found.transition is not None:
        response.transition.CopyFrom(to_transition(found.transition))
        response.ledger_position = found.transition.position
    if found.displaced is not None:
        response.displaced.CopyFrom(to_version(found.displaced))
    return response
