"""CreateVersion from end to end: ask the tracking service, write down, verify."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from registry_service.file_selection import digest_files, select_files
from registry_service.lineage_snapshot import take_snapshot
from registry_service.parents import find_parents
from registry_service.proto_conversion import to_file, to_version
from registry_service.registration import check_number, next_name, register
from registry_service.tracking_client import HOLD_FILES
from service_chassis.errors import Code, StudbookError
from studbook.registry.v1 import version_pb2
from studbook.registry.v1.model_service_pb2 import CreateVersionRequest, CreateVersionResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_service.file_verifier import FileVerifier
    from registry_service.records import File, Parent, Snapshot
    from registry_service.registration import Registration
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.tracking_client import TrackingClient
    from registry_service.version_numbers import Part
    from service_chassis.caller import Caller

# Each failure means that somebody else registered a version in the meantime.
_NUMBERS_TRIED = 100


class Registrar:
    """Registers versions.

    Args:
        database: The registry's database.
        tracking: Where runs and their files are known.
        verifier: Verifies what was registered.
    """

    def __init__(
        self, database: RegistryDatabase, tracking: TrackingClient, verifier: FileVerifier
    ) -> None:
        self._database = database
        self._tracking = tracking
        self._verifier = verifier

    async def register(
        self, caller: Caller, request: CreateVersionRequest, registration: Registration
    ) -> CreateVersionResponse:
        """Register a version, once for each request_id.

        Raises:
            StudbookError: Everything that the contract names for CreateVersion.
        """
        known = await self._database.earlier_answer(caller, request, CreateVersionResponse)
        if known is not None:
            return await self._as_it_is_now(known)
        if registration.bump is None:
            return await self._register(caller, request, registration)
        return await self._register_next(caller, request, registration, registration.bump)

    async def _register_next(
        self,
        caller: Caller,
        request: CreateVersionRequest,
        registration: Registration,
        part: Part,
    ) -> CreateVersionResponse:
        """Register under the next number, or the one after it when others are faster."""
        model = registration.name.model
        for _ in range(_NUMBERS_TRIED):
            name = await self._database.read(lambda store: next_name(store, model, part))
            try:
                return await self._register(caller, request, replace(registration, name=name))
            except StudbookError as error:
                if error.reason != "VERSION_EXISTS":
                    raise
        raise StudbookError(
            Code.ABORTED,
            "TRANSACTION_CONFLICT",
            f"Others registered each next number of {model} first, again and again; repeat the "
            "call.",
        )

    async def _register(
        self, caller: Caller, request: CreateVersionRequest, registration: Registration
    ) -> CreateVersionResponse:
        parents = await self._database.read(lambda store: _check(store, registration))
        snapshot, files = await self._snapshot(caller, registration, parents, validate_only=True)
        if request.validate_only:
            return CreateVersionResponse(version=_preview(registration, files))
        # Only now, when all else is in order, is the run bound to the version.
        snapshot, files = await self._snapshot(caller, registration, parents)

        def work(store: RegistryStore) -> CreateVersionResponse:
            version = register(store, caller, registration, snapshot, files)
            return CreateVersionResponse(version=to_version(version))

        # Shielded: when the caller goes away in the middle, the version is verified all the same.
        written = asyncio.create_task(self._write_down(caller, request, work))
        return await self._as_it_is_now(await asyncio.shield(written))

    async def _write_down(
        self,
        caller: Caller,
        request: CreateVersionRequest,
        work: Callable[[RegistryStore], CreateVersionResponse],
    ) -> CreateVersionResponse:
        answer = await self._database.write_once(caller, request, CreateVersionResponse, work)
        version = await self._database.read(
            lambda store: store.versions.find(answer.version.name), brief=True
        )
        if version is not None:
            self._verifier.begin(version)
        return answer

    async def _snapshot(
        self,
        caller: Caller,
        registration: Registration,
        parents: tuple[Parent, ...],
        *,
        validate_only: bool = False,
    ) -> tuple[Snapshot, tuple[File, ...]]:
        held = await self._tracking.hold_run(
            caller,
            registration.source_run,
            str(registration.name),
            HOLD_FILES,
            validate_only=validate_only,
        )
        snapshot = take_snapshot(held, parents)
        paths = registration.artifact_paths
        return snapshot, select_files(registration.source_run, snapshot.files, paths)

    async def _as_it_is_now(self, answer: CreateVersionResponse) -> CreateVersionResponse:
        """The answer with the outcome of the verification, which comes after the registration."""
        name = answer.version.name
        version = await self._database.read(lambda store: store.versions.find(name), brief=True)
        if version is None or version.uid != answer.version.uid:
            return answer
        if answer.version.state == version_pb2.VERSION_STATE_PENDING:
            version = await self._verifier.verify_new(version)
        return CreateVersionResponse(version=to_version(version))


def _check(store: RegistryStore, registration: Registration) -> tuple[Parent, ...]:
    check_number(store, registration.name)
    return find_parents(store, registration.parents)


def _preview(registration: Registration, files: tuple[File, ...]) -> version_pb2.Version:
    return version_pb2.Version(
        name=str(registration.name),
        version=str(registration.name.number),
        source_run=registration.source_run,
        files=[to_file(file) for file in files],
        digest=f"sha256:{digest_files(files)}",
        description=registration.description,
        tags=registration.tags,
    )
