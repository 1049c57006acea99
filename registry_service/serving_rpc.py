"""ServingService: which version, its files, and what was loaded of it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from registry_service.alias_names import PREVIOUS, AliasName, check_alias
from registry_service.loaded import LONGEST_INSTANCE, Loading, keep_report
from registry_service.moments import settled_read, shown
from registry_service.names import VersionName, parse_version_name
from registry_service.present_answers import PresentAnswers
from registry_service.promotion import not_ready
from registry_service.proto_conversion import read_stage, to_file, to_loaded, to_resolved
from registry_service.records import Stage, VersionState
from registry_service.resolution import (
    READ,
    readable_version,
    resolve_alias,
    resolve_number,
    resolve_previous,
    resolve_range,
    resolve_stage_at,
)
from registry_service.version_numbers import parse_number
from registry_service.version_ranges import parse_range
from service_chassis.blob_store import CHUNK_BYTES, byte_range
from service_chassis.caller import current_caller
from service_chassis.errors import Code, StudbookError, invalid_field, not_found
from service_chassis.listing import PageRequest
from service_chassis.resource_names import MODEL
from service_chassis.timestamps import from_timestamp, now_us
from service_chassis.validation import (
    check_artifact_path,
    check_digest,
    check_not_negative,
    check_text,
)
from studbook.registry.v1 import serving_service_pb2 as messages
from studbook.registry.v1.serving_service_pb2_grpc import ServingServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from grpc.aio import ServicerContext

    from registry_service.loaded_records import Retention
    from registry_service.records import File, Version
    from registry_service.registry_database import RegistryDatabase
    from registry_service.resolution import Resolution
    from registry_service.store import RegistryStore
    from service_chassis.blob_store import FolderBlobStore
    from service_chassis.caller import Caller
    from service_chassis.page_tokens import PageTokens


class ServingService(ServingServiceServicer):
    """Resolves names to versions and delivers their files.

    Args:
        database: The registry's database.
        blobs: Where the files are. Only read.
        tokens: Seals page tokens.
        retention: Which reports of what was loaded are kept.
        clock: The present moment in microseconds.
    """

    def __init__(
        self,
        database: RegistryDatabase,
        blobs: FolderBlobStore,
        tokens: PageTokens,
        retention: Retention,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._tokens = tokens
        self._retention = retention
        self._present = PresentAnswers(database)
        self._clock = clock

    async def ResolveVersion(
        self,
        request: messages.ResolveVersionRequest,
        _context: ServicerContext[messages.ResolveVersionRequest, messages.ResolveVersionResponse],
    ) -> messages.ResolveVersionResponse:
        """Find the version that a stage, alias, number or range stands for."""
        MODEL.parse(request.model, "model")
        caller = current_caller()
        if request.HasField("at"):
            return to_resolved(await self._resolve_at(request, caller))
        if request.WhichOneof("selector") in {None, "stage"}:
            stage = _stage(request)
            if stage is not Stage.PRODUCTION:
                caller.require(READ, request.model)
            return await self._present.of_stage(request.model, stage)
        answer = self._answer_now(request, caller)
        return to_resolved(await self._database.read(answer, brief=True))

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

    async def ReportLoaded(
        self,
        request: messages.ReportLoadedRequest,
        _context: ServicerContext[messages.ReportLoadedRequest, messages.ReportLoadedResponse],
    ) -> messages.ReportLoadedResponse:
        """Keep what an instance has loaded."""
        loading = _read_loading(request)
        caller = current_caller()
        reported = await self._database.write(
            lambda store: keep_report(store, caller, loading, self._retention)
        )
        return messages.ReportLoadedResponse(
            loaded=to_loaded(reported.report), production_version=reported.production
        )

    async def ListLoaded(
        self,
        request: messages.ListLoadedRequest,
        _context: ServicerContext[messages.ListLoadedRequest, messages.ListLoadedResponse],
    ) -> messages.ListLoadedResponse:
        """List what instances have loaded of a model."""
        MODEL.parse(request.parent, "parent")
        page = PageRequest.read(request, default_order="report_time desc", tokens=self._tokens)
        since_us = self._clock() - self._retention.kept_us

        def work(store: RegistryStore) -> messages.ListLoadedResponse:
            uid = store.models.uid(request.parent)
            if uid is None:
                raise not_found(request.parent)
            reports, token = store.loaded.page(uid, page, since_us)
            return messages.ListLoadedResponse(
                loaded=map(to_loaded, reports), next_page_token=token
            )

        return await self._database.read(work)

    def _answer_now(
        self, request: messages.ResolveVersionRequest, caller: Caller
    ) -> Callable[[RegistryStore], Resolution]:
        match request.WhichOneof("selector"):
            case "version":
                number = parse_number(request.version, "version", leading_v=True)
                version = VersionName(request.model, number)
                return lambda store: resolve_number(store, caller, version)
            case "alias" if request.alias == PREVIOUS:
                return lambda store: resolve_previous(store, caller, request.model)
            case "alias":
                alias = AliasName(request.model, check_alias(request.alias, "alias"))
                return lambda store: resolve_alias(store, caller, alias)
            case _:
                wanted = parse_range(request.range, "range")
                return lambda store: resolve_range(store, caller, request.model, wanted)

    async def _resolve_at(
        self, request: messages.ResolveVersionRequest, caller: Caller
    ) -> Resolution:
        caller.require(READ, request.model)
        selector = request.WhichOneof("selector")
        if selector in {"version", "range"} or request.alias == PREVIOUS:
            raise invalid_field("at", shown(request.at), "it goes with a stage or alias only")
        if selector == "alias":
            name = AliasName(request.model, check_alias(request.alias, "alias"))
            return await settled_read(
                self._database,
                request.at,
                lambda store, us: resolve_alias(store, caller, name, us),
                self._clock,
            )
        stage = _stage(request)
        return await settled_read(
            self._database,
            request.at,
            lambda store, us: resolve_stage_at(store, request.model, stage, us),
            self._clock,
        )


def _stage(request: messages.ResolveVersionRequest) -> Stage:
    if request.WhichOneof("selector") is None:
        return Stage.PRODUCTION
    return read_stage(request.stage, "stage")


def _read_loading(request: messages.ReportLoadedRequest) -> Loading:
    instance = check_text(request.instance, "instance", LONGEST_INSTANCE, required=True)
    if not instance.isprintable():
        raise invalid_field("instance", instance, "give printable characters on one line")
    return Loading(
        version=parse_version_name(request.version, "version"),
        digest=check_digest(request.digest, "digest"),
        instance=instance,
        load_us=from_timestamp(request.load_time) if request.HasField("load_time") else None,
    )


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
