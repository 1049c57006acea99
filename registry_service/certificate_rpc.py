"""LineageService: certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.certificate_statement import (
    Subject,
    approvals_in,
    write_statement,
)
from registry_service.names import parse_version_name
from registry_service.promotion import not_ready
from registry_service.proto_conversion import to_lineage
from registry_service.records import VersionState
from service_chassis.errors import not_found
from studbook.certificates.envelope import IN_TOTO, Envelope, signed_bytes
from studbook.registry.v1 import lineage_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grpc.aio import ServicerContext

    from registry_service.ledger import Entry
    from registry_service.registry_database import RegistryDatabase
    from registry_service.signing import Signer
    from registry_service.store import RegistryStore
    from registry_service.store.lineage_store import Evidence


class CertificateMethods:
    """The methods of LineageService that are about certificates."""

    _database: RegistryDatabase
    _signer: Signer

    async def GetCertificate(
        self,
        request: messages.GetCertificateRequest,
        _context: ServicerContext[messages.GetCertificateRequest, messages.GetCertificateResponse],
    ) -> messages.GetCertificateResponse:
        """State all that is known of a version, signed."""
        name = str(parse_version_name(request.name))
        # Written in the thread that reads: of a large version that takes some milliseconds.
        payload, position = await self._database.read(lambda store: _state(store, name))
        signature = self._signer.sign(signed_bytes(IN_TOTO, payload))
        envelope = Envelope(IN_TOTO, payload, self._signer.key_id, signature)
        return messages.GetCertificateResponse(
            envelope=envelope.encode(),
            key_id=self._signer.key_id,
            ledger_position=position,
        )


def _state(store: RegistryStore, name: str) -> tuple[bytes, int]:
    """The statement about a version, and the position of the ledger that it was made at."""
    subject = _read(store, name)
    return write_statement(subject), subject.head.position


def _read(store: RegistryStore, name: str) -> Subject:
    version = store.versions.find(name)
    if version is None:
        raise not_found(name)
    if version.state is not VersionState.READY:
        raise not_ready(version)
    evidence = store.lineages.evidence(version.uid)
    head = store.ledger.head()
    return Subject(
        version=version,
        lineage=to_lineage(store.versions.lineage(version)),
        lineage_digest=store.lineages.digest(version.uid),
        stays=tuple(store.stays.all_of(version.uid)),
        evidence=evidence,
        approvals=_approvals(store, evidence.values()),
        head=head,
        head_us=store.ledger.time_of(head.position),
    )


def _approvals(store: RegistryStore, evidence: Iterable[Evidence]) -> Mapping[int, Entry]:
    positions = {position for entry in evidence for position in approvals_in(entry)}
    found = (store.ledger.at(position) for position in sorted(positions))
    return {entry.position: entry for entry in found if entry is not None}
