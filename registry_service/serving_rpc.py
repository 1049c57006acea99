"""ServingService: which version, and its files."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from registry_service.names import VersionName, parse_version_name
from registry_service.promotion import not_ready
from registry_service.proto_conversion import read_stage, to_file, to_resolved
from registry_service.records import Stage, VersionState
from registry_service.resolution import (
    READ,
    readable_version,
    resolve_number,
    resolve_stage,
    resolve_stage_at,
)
from registry_service.version_numbers import parse_number
from service_chassis.blob_store import CHUNK_BYTES, byte_range
from service_chassis.caller import current_caller
from service_chassis.errors import Code, StudbookError, invalid_field, not_found
from service_chassis.resource_names import MODEL
from service_chassis.timestamps import from_timestamp, now_us
from service_chassis.validation import check_artifact_path, check_not_negative
from studbook.registry.v1 import serving_service_pb2 as messages
from studbook.registry.v1.serving_service_pb2_grpc import ServingServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp
    from grpc.aio import ServicerContext

    from registry_service.records import File, Version
    from registry_service.registry_database import RegistryDatabase
    from registry_service.resolution import Resolution
    from registry_service.store import RegistryStore
    from service_chassis.blob_store import FolderBlobStore


class ServingService(ServingServiceServicer):
    """Resolves names to versions and delivers their files.

    Args:
        database: The registry's database.
        blobs: Where the files are. Only read.
        clock: The present moment in microseconds.
    """

    def __init__(
        self,
        database: RegistryDatabase,
        blobs: FolderBlobStore,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    async def ResolveVersion(
        self,
        request: messages.ResolveVersionRequest,
        _context: ServicerContext[messages.ResolveVersionRequest, messages.ResolveVersionResponse],
    ) -> messages.ResolveVersionResponse:
        """Find the version that a stage or number stands for."""
        MODEL.parse(request.model, "model")
        if request.WhichOneof("selector") == "version":
            return to_resolved(await self._resolve_number(request))
        stage = Stage.PRODUCTION
        if request.WhichOneof("selector") == "stage":
            stage = read_stage(request.stage, "stage")
        if request.HasField("at") or stage is not Stage.PRODUCTION:
            current_caller().require(READ, request.model)
        if request.HasField("at"):
            return to_resolved(await self._resolve_at(request, stage))
        return to_resolved(
            await self._database.read(
                lambda store: resolve_stage(store, request.model, stage), brief=True
            )
        )

    async def FetchArtifacts(
        self,
        request: messages.FetchArtifactsRequest,
        _context: ServicerContext[messages.FetchArtifactsRequest, messages.FetchArtifactsResponse],
    ) -> AsyncIterator[messages.FetchArtifactsResponse]:
        """Deliver files of a version."""
        name = parse_version_name(request.version, "version")
        _check_offset(request)
        caller = current_caller()
        version = await self._database.read(
            lambda store: readable_version(store, caller, name), brief=True
        )
        if version.state is not VersionState.READY:
            raise not_ready(version)
        for file in _chosen(version, request.paths):
            pieces = _pieces(self._blobs, file, request.read_offset)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece

    async def _resolve_number(self, request: messages.ResolveVersionRequest) -> Resolution:
        if request.HasField("at"):
            raise invalid_field("at", _shown(request.at), "it goes with a stage only")
        name = VersionName(request.model, parse_number(request.version, "version", leading_v=True))
        caller = current_caller()
        return await self._database.read(
            lambda store: resolve_number(store, caller, name), brief=True
        )

    async def _resolve_at(
        self, request: messages.ResolveVersionRequest, stage: Stage
    ) -> Resolution:
        """Answer for the past, in a way that holds for ever.

        A moment is settled when no entry can come to bear that time any more. One that is not is
        settled first, so that no two answers for it differ, whichever process is asked.
        """
        # Before 1970 nothing was in any stage, however long before.
        at_us = max(from_timestamp(request.at), 0)

        def answer(store: RegistryStore) -> Resolution:
            return resolve_stage_at(store, request.model, stage, at_us)

        def if_settled(store: RegistryStore) -> Resolution | None:
            return answer(store) if at_us <= store.ledger.head().settled_us else None

        found = await self._database.read(if_settled, brief=True)
        if found is not None:
            return found
        if at_us > self._clock():
            raise invalid_field(
                "at", _shown(request.at), "it lies in the future; leave it out for now"
            )
        await self._database.write(lambda store: store.ledger.settle(at_us))
        return await self._database.read(answer, brief=True)


def _shown(moment: Timestamp) -> str:
    try:
        return moment.ToJsonString()
    except ValueError:
        return f"{moment.seconds} s after 1970"


def _check_offset(request: messages.FetchArtifactsRequest) -> None:
    check_not_negative(request.read_offset, "read_offset")
    if request.read_offset and len(request.paths) != 1:
        raise invalid_field("read_offset", request.read_offset, "it goes with exactly one path")


def _chosen(version: Version, paths: Sequence[str]) -> list[File]:
    """The files of a version that are asked for, in order of path."""
    if not paths:
        return list(version.files)
    known = {file.path: file for file in version.files}
    wanted = {check_artifact_path(path, f"paths[{index}]") for index, path in enumerate(paths)}
    for path in wanted:
        if path not in known:
            raise not_found(f"{version.name}/{path}", f"{version.name} has no such file")
    return [known[path] for path in sorted(wanted)]


def _pieces(
    blobs: FolderBlobStore, file: File, offset: int
) -> Iterator[messages.FetchArtifactsResponse]:
    """The messages that deliver a file; the last is held back when the bytes prove wrong."""
    length = byte_range(offset, 0, file.size_bytes)
    if not length:
        yield messages.FetchArtifactsResponse(file=to_file(file))
        return
    actual = hashlib.sha256()
    sent = 0
    for data in blobs.read(file.digest, offset, length, CHUNK_BYTES):
        actual.update(data)
        piece = messages.FetchArtifactsResponse(data=bytes(data))
        if not sent:
            piece.file.CopyFrom(to_file(file))
        sent += len(data)
        # The digest is over all bytes, so a resumed read is left to its receiver to check.
        if sent == length and not offset and actual.hexdigest() != file.digest:
            raise _corrupt(file)
        yield piece


def _corrupt(file: File) -> StudbookError:
    return StudbookError(
        Code.DATA_LOSS,
        "BLOB_CORRUPT",
        f"The stored bytes of {file.path} no longer have sha256:{file.digest}; tell whoever runs "
        "this registry to restore them.",
        metadata={"digest": f"sha256:{file.digest}"},
    )
