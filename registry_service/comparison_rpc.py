"""ComparisonService: is it the data or the model?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from registry_service.comparison import Aspect, compare
from registry_service.comparison_message import comparison_message
from registry_service.dataset_drift import DatasetComparer
from registry_service.input_comparison import compare_inputs, read_inputs
from registry_service.names import parse_version_name
from registry_service.resolution import READ
from registry_service.version_facts import facts_of
from service_chassis.caller import current_caller
from service_chassis.errors import not_found
from studbook.registry.v1.comparison_service_pb2_grpc import ComparisonServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from registry_service.comparison import VersionFacts
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.tracking_client import TrackingClient
    from studbook.registry.v1 import comparison_service_pb2 as messages


class ComparisonService(ComparisonServiceServicer):
    """Compares versions with each other, and inputs with what a version was trained on.

    Args:
        database: The registry's database.
        tracking: Where the profiles of datasets are.
    """

    def __init__(self, database: RegistryDatabase, tracking: TrackingClient) -> None:
        self._database = database
        self._datasets = DatasetComparer(tracking)

    async def CompareVersions(
        self,
        request: messages.CompareVersionsRequest,
        _context: ServicerContext[
            messages.CompareVersionsRequest, messages.CompareVersionsResponse
        ],
    ) -> messages.CompareVersionsResponse:
        """Compare two versions."""
        first = str(parse_version_name(request.first, "first"))
        second = str(parse_version_name(request.second, "second"))
        caller = current_caller()
        caller.require(READ, second)
        comparison = compare(*await self._facts(first, second))
        data = next(found for found in comparison.aspects if found.aspect is Aspect.DATA)
        drifts = await self._datasets.compare_all(caller, data.datasets)
        return comparison_message(comparison, drifts, all_columns=request.all_columns)

    async def CompareInputs(
        self,
        request: messages.CompareInputsRequest,
        _context: ServicerContext[messages.CompareInputsRequest, messages.CompareInputsResponse],
    ) -> messages.CompareInputsResponse:
        """Compare inputs with what a version was trained on."""
        name = str(parse_version_name(request.version, "version"))
        inputs = read_inputs(request)
        (facts,) = await self._facts(name)
        caller = current_caller()
        used = [dataset for dataset in facts.datasets if dataset.role == inputs.role]
        found = await asyncio.gather(*(self._datasets.read(caller, dataset) for dataset in used))
        # Hundreds of columns take long enough to hold up other calls.
        return await asyncio.to_thread(
            compare_inputs,
            inputs,
            name,
            list(zip(used, found, strict=True)),
            all_columns=request.all_columns,
        )

    async def _facts(self, *names: str) -> list[VersionFacts]:
        def work(store: RegistryStore) -> list[VersionFacts]:
            found = []
            for name in names:
                version = store.versions.find(name)
                if version is None:
                    raise not_found(name)
                found.append(facts_of(version, store.versions.lineage(version)))
            return found

        return await self._database.read(work)
