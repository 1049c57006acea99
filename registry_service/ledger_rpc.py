"""LedgerService: checkpoints, verification, and the erasing of persons."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry_service.checkpoints import make_checkpoint
from registry_service.erasure import WHOLE_LEDGER, erase_person
from registry_service.ledger_audit import LedgerAudit
from service_chassis.caller import current_caller
from service_chassis.errors import invalid_field, not_found, required_field
from service_chassis.listing import PageRequest
from service_chassis.resource_names import WORKSPACE
from service_chassis.timestamps import to_timestamp
from service_chassis.validation import check_not_negative, check_text
from studbook.registry.v1 import checkpoint_pb2
from studbook.registry.v1 import ledger_service_pb2 as messages
from studbook.registry.v1.ledger_service_pb2_grpc import LedgerServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpc.aio import ServicerContext

    from registry_service.registry_database import RegistryDatabase
    from registry_service.signing import Signer
    from registry_service.store import RegistryStore
    from registry_service.store.checkpoint_store import StoredCheckpoint
    from registry_service.table_comparison import Finding
    from service_chassis.page_tokens import PageTokens

_MOST_CHECKPOINTS = 100
_MOST_FINDINGS = 100
_PROGRESS_S = 1.0
_LONGEST_REASON = 1000


class LedgerService(LedgerServiceServicer):
    """Keeps the registry to its word.

    Args:
        database: The registry's database.
        signer: Signs checkpoints, and knows the keys that are trusted.
        tokens: Seals page tokens.
    """

    def __init__(self, database: RegistryDatabase, signer: Signer, tokens: PageTokens) -> None:
        self._database = database
        self._signer = signer
        self._tokens = tokens
        self._verifying = asyncio.Lock()

    async def GetCheckpoint(
        self,
        request: messages.GetCheckpointRequest,
        _context: ServicerContext[messages.GetCheckpointRequest, messages.GetCheckpointResponse],
    ) -> messages.GetCheckpointResponse:
        """Read a checkpoint."""
        _check_parent(request.parent)
        position = check_not_negative(request.position, "position")

        def work(store: RegistryStore) -> StoredCheckpoint | None:
            return store.checkpoints.at(position) if position else store.checkpoints.latest()

        found = await self._database.read(work, brief=True)
        if found is None:
            what = f"the checkpoint at {position}" if position else "a checkpoint"
            raise not_found(what, "make one with CreateCheckpoint")
        return messages.GetCheckpointResponse(checkpoint=_to_checkpoint(found))

    async def ListCheckpoints(
        self,
        request: messages.ListCheckpointsRequest,
        _context: ServicerContext[
            messages.ListCheckpointsRequest, messages.ListCheckpointsResponse
        ],
    ) -> messages.ListCheckpointsResponse:
        """List checkpoints, oldest first."""
        _check_parent(request.parent)
        page = PageRequest.read(request, default_order="position", tokens=self._tokens)
        found, token = await self._database.read(lambda store: store.checkpoints.page(page))
        return messages.ListCheckpointsResponse(
            checkpoints=map(_to_checkpoint, found), next_page_token=token
        )

    async def CreateCheckpoint(
        self,
        request: messages.CreateCheckpointRequest,
        _context: ServicerContext[
            messages.CreateCheckpointRequest, messages.CreateCheckpointResponse
        ],
    ) -> messages.CreateCheckpointResponse:
        """Make a checkpoint of the ledger as it is."""
        _check_parent(request.parent)
        made, is_new = await self._database.write(
            lambda store: make_checkpoint(store, self._signer)
        )
        if made is None:
            raise not_found("a checkpoint", "the ledger has no entry yet")
        return messages.CreateCheckpointResponse(
            checkpoint=_to_checkpoint(made), unchanged=not is_new
        )

    async def GetLedgerKeys(
        self,
        _request: messages.GetLedgerKeysRequest,
        _context: ServicerContext[messages.GetLedgerKeysRequest, messages.GetLedgerKeysResponse],
    ) -> messages.GetLedgerKeysResponse:
        """The public keys."""
        ledger = await self._database.read(lambda store: store.checkpoints.ledger(), brief=True)
        return messages.GetLedgerKeysResponse(
            ledger=ledger,
            keys=[
                checkpoint_pb2.LedgerKey(
                    key_id=key_id,
                    public_key_pem=key.public_bytes(
                        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
                    ).decode(),
                    signing=key_id == self._signer.key_id,
                )
                for key_id, key in self._signer.trusted.items()
            ],
        )

    async def VerifyLedger(
        self,
        request: messages.VerifyLedgerRequest,
        _context: ServicerContext[messages.VerifyLedgerRequest, messages.VerifyLedgerResponse],
    ) -> AsyncIterator[messages.VerifyLedgerResponse]:
        """Verify ledger, checkpoints and tables."""
        _check_whole(request.parent)
        if len(request.checkpoints) > _MOST_CHECKPOINTS:
            raise invalid_field(
                "checkpoints", len(request.checkpoints), f"give at most {_MOST_CHECKPOINTS}"
            )
        async with self._verifying:
            audit = LedgerAudit(self._signer.trusted, list(request.checkpoints))
            await self._database.read(audit.begin)
            told_at = time.monotonic()
            while not await self._database.read(audit.step):
                if time.monotonic() >= told_at + _PROGRESS_S:
                    told_at = time.monotonic()
                    yield _progress(audit)
            await self._database.read(audit.finish)
        yield _result(audit)

    async def ErasePerson(
        self,
        request: messages.ErasePersonRequest,
        _context: ServicerContext[messages.ErasePersonRequest, messages.ErasePersonResponse],
    ) -> messages.ErasePersonResponse:
        """Erase a person from everything that the registry keeps."""
        _check_whole(request.parent)
        if not request.principal:
            raise required_field("principal")
        check_text(request.reason, "reason", longest=_LONGEST_REASON)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.ErasePersonResponse:
            erased = erase_person(
                store,
                caller,
                request.principal,
                request.reason,
                validate_only=request.validate_only,
            )
            return messages.ErasePersonResponse(
                entry_count=erased.entries,
                lineage_count=erased.lineages,
                report_count=erased.reports,
                ledger_position=erased.position,
            )

        return await self._database.write_once(caller, request, messages.ErasePersonResponse, work)


def _check_parent(parent: str) -> None:
    WORKSPACE.parse(parent, "parent", any_of={"workspace"})


def _check_whole(parent: str) -> None:
    if parent != WHOLE_LEDGER:
        raise invalid_field("parent", parent, f"give {WHOLE_LEDGER}, all workspaces share a ledger")


def _to_checkpoint(checkpoint: StoredCheckpoint) -> checkpoint_pb2.Checkpoint:
    return checkpoint_pb2.Checkpoint(
        position=checkpoint.position,
        create_time=to_timestamp(checkpoint.create_us),
        key_id=checkpoint.key_id,
        envelope=checkpoint.envelope,
    )


def _progress(audit: LedgerAudit) -> messages.VerifyLedgerResponse:
    return messages.VerifyLedgerResponse(
        position=audit.position,
        head_position=audit.head_position,
        checkpoint_count=audit.checkpoint_count,
    )


def _result(audit: LedgerAudit) -> messages.VerifyLedgerResponse:
    found = sorted(audit.findings)
    result = _progress(audit)
    result.findings.extend(map(_finding, found[:_MOST_FINDINGS]))
    result.finding_count = len(found)
    result.hash = audit.hash
    result.complete = True
    return result


def _finding(finding: Finding) -> messages.LedgerFinding:
    return messages.LedgerFinding(
        position=finding.position,
        place=finding.place,
        subject=finding.subject,
        problem=finding.problem,
    )
