"""LineageService: what came of a dataset, a base or a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.names import parse_version_name
from registry_service.proto_conversion import to_version
from registry_service.store.lineage_store import Origin, derived
from service_chassis.caller import current_caller
from service_chassis.errors import required_field
from service_chassis.listing import PageRequest
from service_chassis.resource_names import DATASET, DATASET_VERSION, WORKSPACE
from service_chassis.timestamps import to_timestamp
from service_chassis.validation import check_digest
from studbook.registry.v1 import lineage_pb2
from studbook.registry.v1 import lineage_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from grpc.aio import ServicerContext

    from registry_service.records import DatasetUse, Parent, Stay, Version
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from service_chassis.page_tokens import PageTokens


class DerivationMethods:
    """The methods of LineageService that look from what went in to what came out."""

    _database: RegistryDatabase
    _tokens: PageTokens

    async def ListDerivedVersions(
        self,
        request: messages.ListDerivedVersionsRequest,
        _context: ServicerContext[
            messages.ListDerivedVersionsRequest, messages.ListDerivedVersionsResponse
        ],
    ) -> messages.ListDerivedVersionsResponse:
        """List what came of a dataset, of a base from elsewhere, or of a version."""
        WORKSPACE.parse(request.parent, "parent")
        origin = _read_origin(request)
        page = PageRequest.read(request, default_order="create_time", tokens=self._tokens)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.ListDerivedVersionsResponse:
            versions, token = store.versions.page_among(
                derived(origin),
                request.parent,
                page,
                lambda name: caller.may("models.read", name),
            )
            return messages.ListDerivedVersionsResponse(
                versions=_describe(store, origin, versions), next_page_token=token
            )

        return await self._database.read(work)


def _read_origin(request: messages.ListDerivedVersionsRequest) -> Origin:
    match request.WhichOneof("origin"):
        case "dataset":
            pattern = DATASET_VERSION if "/versions" in request.dataset else DATASET
            pattern.parse(request.dataset, "dataset")
            return Origin(dataset=request.dataset)
        case "digest":
            return Origin(digest=check_digest(request.digest, "digest"))
        case "version":
            return Origin(version=str(parse_version_name(request.version, "version")))
        case _:
            raise required_field("dataset", "give a dataset, a digest or a version")


def _describe(
    store: RegistryStore, origin: Origin, versions: list[Version]
) -> Iterator[messages.DerivedVersion]:
    uids = [version.uid for version in versions]
    datasets, parents = store.lineages.datasets(origin, uids), store.lineages.parents(origin, uids)
    stays = store.stays.in_production(uids)
    for version in versions:
        yield messages.DerivedVersion(
            version=to_version(version),
            datasets=map(_dataset, datasets.get(version.uid, ())),
            parents=map(_parent, parents.get(version.uid, ())),
            production=_intervals(stays.get(version.uid, ())),
        )


def _dataset(used: DatasetUse) -> lineage_pb2.LineageDataset:
    return lineage_pb2.LineageDataset(
        name=used.dataset, role=used.role, digest=f"sha256:{used.digest}"
    )


def _parent(parent: Parent) -> lineage_pb2.LineageParent:
    return lineage_pb2.LineageParent(
        version=parent.version, uri=parent.uri, digest=f"sha256:{parent.digest}"
    )


def _intervals(stays: Iterable[Stay]) -> Iterator[messages.StageInterval]:
    for stay in stays:
        yield messages.StageInterval(
            start_time=to_timestamp(stay.start_us), end_time=to_timestamp(stay.end_us)
        )
