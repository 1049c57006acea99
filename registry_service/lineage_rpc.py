"""LineageService: how versions came to be, and what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.certificate_rpc import CertificateMethods
from registry_service.derivation_rpc import DerivationMethods
from registry_service.names import parse_version_name
from registry_service.proto_conversion import to_entry, to_lineage, to_transition, to_version
from service_chassis.errors import not_found
from service_chassis.listing import PageRequest
from service_chassis.resource_names import ANY, MODEL, WORKSPACE
from studbook.registry.v1 import lineage_service_pb2 as messages
from studbook.registry.v1.lineage_service_pb2_grpc import LineageServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from registry_service.registry_database import RegistryDatabase
    from registry_service.signing import Signer
    from registry_service.store import RegistryStore
    from service_chassis.page_tokens import PageTokens


class LineageService(DerivationMethods, CertificateMethods, LineageServiceServicer):
    """Reads lineage and ledger.

    Args:
        database: The registry's database.
        signer: Signs certificates with the registry's key.
        tokens: Seals page tokens.
    """

    def __init__(self, database: RegistryDatabase, signer: Signer, tokens: PageTokens) -> None:
        self._database = database
        self._signer = signer
        self._tokens = tokens

    async def GetLineage(
        self,
        request: messages.GetLineageRequest,
        _context: ServicerContext[messages.GetLineageRequest, messages.GetLineageResponse],
    ) -> messages.GetLineageResponse:
        """Read a version with everything that led to it and happened to it."""
        name = str(parse_version_name(request.name))

        def work(store: RegistryStore) -> messages.GetLineageResponse:
            version = store.versions.find(name)
            if version is None:
                raise not_found(name)
            return messages.GetLineageResponse(
                version=to_version(version),
                lineage=to_lineage(store.versions.lineage(version)),
                transitions=map(to_transition, store.stays.transitions_of(version.uid)),
            )

        return await self._database.read(work)

    async def ListLedgerEntries(
        self,
        request: messages.ListLedgerEntriesRequest,
        _context: ServicerContext[
            messages.ListLedgerEntriesRequest, messages.ListLedgerEntriesResponse
        ],
    ) -> messages.ListLedgerEntriesResponse:
        """List entries of the ledger, oldest first."""
        workspace, model = _scope(request.parent)
        page = PageRequest.read(request, default_order="position", tokens=self._tokens)
        entries, token = await self._database.read(
            lambda store: store.ledger.page(workspace, model, page)
        )
        return messages.ListLedgerEntriesResponse(
            entries=map(to_entry, entries), next_page_token=token
        )


def _scope(parent: str) -> tuple[str, str]:
    """The workspace or model whose entries are wanted; both empty for the whole ledger."""
    if MODEL.matches(parent):
        return "", parent
    workspace = WORKSPACE.parse(parent, "parent", any_of={"workspace"})["workspace"]
    return ("" if workspace == ANY else workspace), ""
