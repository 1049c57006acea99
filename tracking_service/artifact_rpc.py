"""ArtifactService: the contract of files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from service_chassis.blob_store import byte_range
from service_chassis.errors import invalid_field, required_field
from service_chassis.listing import PageRequest
from service_chassis.read_ahead import read_ahead
from service_chassis.resource_names import RUN
from service_chassis.timestamps import now_us
from service_chassis.validation import check_artifact_path, check_digest, check_not_negative
from studbook import bulk_data
from studbook.bulk_data import PIECE_BYTES, BulkData
from studbook.tracking.v1 import artifact_service_pb2 as pb
from studbook.tracking.v1 import artifact_service_pb2_grpc
from tracking_service import artifacts, request_reading
from tracking_service.completion import completed
from tracking_service.presence import found
from tracking_service.proto_conversion import artifact_message, digest_text
from tracking_service.transactions import read, write
from tracking_service.upload import Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from service_chassis.blob_store import FolderBlobStore
    from service_chassis.database import Database
    from service_chassis.page_tokens import PageTokens
    from tracking_service.artifact_limits import ArtifactLimits
    from tracking_service.records import Artifact
    from tracking_service.store.tracking_store import TrackingStore

_MICROSECONDS = 1_000_000
# A promise is renewed when so much of it is over; so it holds three quarters of the grace period
# at least, and asking again and again costs no writing.
_PROMISES_A_GRACE_PERIOD = 4


class ArtifactServicer(artifact_service_pb2_grpc.ArtifactServiceServicer):
    """Answers calls on files; see artifact_service.proto for what each promises."""

    def __init__(
        self,
        database: Database,
        page_tokens: PageTokens,
        blobs: FolderBlobStore,
        chunk_bytes: int,
        limits: ArtifactLimits,
        grace_s: float,
    ) -> None:
        self._database = database
        self._page_tokens = page_tokens
        self._blobs = blobs
        self._chunk_bytes = chunk_bytes
        self._limits = limits
        self._promise_us = int(grace_s * _MICROSECONDS / _PROMISES_A_GRACE_PERIOD)
        self._piece_bytes = min(chunk_bytes, PIECE_BYTES)

    async def FindMissing(
        self, request: pb.FindMissingRequest, _context: Any
    ) -> pb.FindMissingResponse:
        """Say which digests have to be uploaded."""
        digests = request_reading.digests(request)
        _, sizes = await self._target(request.run, digests)
        present = await asyncio.to_thread(self._stored, sizes)
        missing = [digest_text(digest) for digest in digests if digest not in present]
        return pb.FindMissingResponse(missing_digests=missing)

    async def QueryUpload(
        self, request: pb.QueryUploadRequest, _context: Any
    ) -> pb.QueryUploadResponse:
        """Say how much of an upload has arrived."""
        RUN.parse(request.run, "run")
        digest = check_digest(request.digest, "digest")
        workspace, sizes = await self._target(request.run, [digest])
        if sizes and digest in await asyncio.to_thread(self._stored, sizes):
            return pb.QueryUploadResponse(committed_size=sizes[digest], complete=True)
        offset = await asyncio.to_thread(self._blobs.upload_offset, workspace, digest)
        return pb.QueryUploadResponse(committed_size=offset)

    async def Upload(
        self, request_iterator: AsyncIterator[pb.UploadRequest | BulkData], _context: Any
    ) -> pb.UploadResponse:
        """Store the bytes of one digest."""
        first = await anext(aiter(request_iterator), None)
        if not isinstance(first, pb.UploadRequest) or first.WhichOneof("part") != "header":
            raise required_field("header", "the first message says what follows")
        header = first.header
        RUN.parse(header.run, "header.run")
        digest = check_digest(header.digest, "header.digest")
        size = check_not_negative(header.size_bytes, "header.size_bytes")
        workspace, sizes = await self._target(header.run, [digest])
        if sizes and digest in await asyncio.to_thread(self._stored, sizes):
            return pb.UploadResponse(committed_size=sizes[digest])
        self._limits.check_file(size)
        if digest not in sizes and self._limits.workspace_bytes:
            await read(self._database, lambda store: self._check_room(store, workspace, size))
        upload = Upload(self._blobs, workspace, digest, size=size, offset=header.write_offset)
        async with upload:
            async for message in request_iterator:
                await upload.write(self._data(message))
            await upload.commit()
            # Only now, so that an upload that stops half way leaves nothing in the database; and
            # before the upload is left, because then the file may be collected.
            await completed(
                write(self._database, lambda store: self._add_blob(store, workspace, digest, size))
            )
        return pb.UploadResponse(committed_size=size)

    async def CreateArtifacts(
        self, request: pb.CreateArtifactsRequest, _context: Any
    ) -> pb.CreateArtifactsResponse:
        """Record files whose bytes are there."""
        files = request_reading.new_artifacts(request)
        recorded = await write(
            self._database,
            lambda store: artifacts.create(
                store,
                request.run,
                files,
                allow_overwrite=request.allow_overwrite,
                limits=self._limits,
                now=now_us(),
            ),
        )
        return pb.CreateArtifactsResponse(
            artifacts=[artifact_message(artifact) for artifact in recorded]
        )

    async def ListArtifacts(
        self, request: pb.ListArtifactsRequest, _context: Any
    ) -> pb.ListArtifactsResponse:
        """List the files of a run."""
        RUN.parse(request.parent, "parent")
        page = PageRequest.read(request, default_order="path", tokens=self._page_tokens)

        def listed(store: TrackingStore) -> tuple[list[Artifact], str]:
            run = found(store.runs.place(request.parent), request.parent)
            return store.artifacts.page(run, page)

        files, token = await read(self._database, listed)
        return pb.ListArtifactsResponse(
            artifacts=[artifact_message(file) for file in files], next_page_token=token
        )

    async def Download(  # type: ignore[override] # BulkData stands for messages with data alone
        self, request: pb.DownloadRequest, _context: Any
    ) -> AsyncIterator[pb.DownloadResponse | BulkData]:
        """Read a file or a range of it."""
        RUN.parse(request.run, "run")
        check_artifact_path(request.path, "path")
        artifact = await read(
            self._database,
            lambda store: artifacts.find(store, request.run, request.path),
            brief=True,
        )
        count = byte_range(request.read_offset, request.read_limit, artifact.size_bytes)
        first = pb.DownloadResponse(artifact=artifact_message(artifact))
        if not count:
            yield first
            return
        size = self._piece_bytes
        pieces = read_ahead(
            self._blobs.pieces(artifact.digest, request.read_offset, count, size),
            -(-count // size),
        )
        first.data = bytes((await anext(pieces)).data)
        yield first
        async for piece in pieces:
            yield piece

    async def _target(self, run: str, digests: Sequence[str]) -> tuple[str, dict[str, int]]:
        """The workspace that uploads for a run go to, and which of the digests it has.

        Those will be there for as long as it may take to record files that refer to them.
        """

        def target(store: TrackingStore) -> tuple[str, dict[str, int], int]:
            workspace = artifacts.upload_target(store, run).workspace
            return workspace, *store.blobs.promised(workspace, digests)

        brief = len(digests) == 1
        workspace, sizes, oldest_us = await read(self._database, target, brief=brief)
        now = now_us()
        if sizes and oldest_us < now - self._promise_us:
            sizes = await write(
                self._database, lambda store: store.blobs.promise(workspace, sizes, now)
            )
        return workspace, sizes

    def _check_room(self, store: TrackingStore, workspace: str, size: int) -> None:
        self._limits.check_workspace(workspace, store.blobs.usage(workspace), size)

    def _add_blob(self, store: TrackingStore, workspace: str, digest: str, size: int) -> None:
        """Note that the workspace has the bytes, if there is room for them still."""
        is_new = store.blobs.add(workspace, digest, size, now_us())
        if is_new and self._limits.workspace_bytes:
            self._check_room(store, workspace, 0)

    def _stored(self, sizes: dict[str, int]) -> set[str]:
        """Those of a workspace's digests whose bytes really are in the store."""
        return {digest for digest, size in sizes.items() if self._blobs.size(digest) == size}

    def _data(self, message: pb.UploadRequest | BulkData) -> bytes | memoryview:
        if not isinstance(message, BulkData) and message.WhichOneof("part") != "data":
            raise required_field("data", "all messages but the first have data")
        data = message.data
        if len(data) > self._chunk_bytes:
            raise invalid_field(
                "data", f"{len(data)} bytes", f"at most {self._chunk_bytes} bytes a message"
            )
        return data


def add_to(servicer: ArtifactServicer, server: grpc.aio.Server) -> None:
    """Let a server answer the calls, with bytes of files neither decoded nor encoded."""
    handlers = {
        "Upload": grpc.stream_unary_rpc_method_handler(
            servicer.Upload, bulk_data.reader(pb.UploadRequest), bulk_data.write
        ),
        "Download": grpc.unary_stream_rpc_method_handler(
            servicer.Download, pb.DownloadRequest.FromString, bulk_data.write
        ),
    }
    service = pb.DESCRIPTOR.services_by_name["ArtifactService"].full_name
    # The first handler that knows a method answers it.
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(servicer, server)
