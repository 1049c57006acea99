"""The calls that move the bytes of files, on the short way that `bulk_data` describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studbook import bulk_data
from studbook.exceptions import StudbookError, Unavailable
from studbook.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from studbook.registry.v1 import serving_service_pb2
from studbook.tracking.v1 import artifact_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

_ARTIFACTS = "/studbook.tracking.v1.ArtifactService"
_SERVING = "/studbook.registry.v1.ServingService"


class BulkCalls:
    """Upload, Download and FetchArtifacts, whose messages may be `BulkData`.

    They are called like the stubs' methods of the same names, on the same connection.

    Args:
        channel: The connection.

    Attributes:
        upload: Upload of the ArtifactService.
        download: Download of the ArtifactService.
        fetch: FetchArtifacts of the ServingService.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        bulk_data.keep_freed_memory()
        self._identity = identity_service_pb2_grpc.IdentityServiceStub(channel)
        self._piece_bytes = 0
        self.upload: Callable[..., artifact_service_pb2.UploadResponse] = channel.stream_unary(
            f"{_ARTIFACTS}/Upload",
            bulk_data.write,
            artifact_service_pb2.UploadResponse.FromString,
        )
        self.download: Callable[..., Any] = channel.unary_stream(
            f"{_ARTIFACTS}/Download",
            artifact_service_pb2.DownloadRequest.SerializeToString,
            bulk_data.reader(artifact_service_pb2.DownloadResponse),
        )
        self.fetch: Callable[..., Any] = channel.unary_stream(
            f"{_SERVING}/FetchArtifacts",
            serving_service_pb2.FetchArtifactsRequest.SerializeToString,
            bulk_data.reader(serving_service_pb2.FetchArtifactsResponse),
        )

    def piece_bytes(self) -> int:
        """How many bytes to send in one message: what is fast, or less where the server says so."""
        if not self._piece_bytes:
            request = identity_service_pb2.GetServerInfoRequest()
            accepted = bulk_data.PIECE_BYTES
            try:
                request = identity_service_pb2.GetServerInfoRequest()
                accepted = self._identity.GetServerInfo(request).limits.chunk_bytes or accepted
            except Unavailable:
                # The upload itself will say it better, or wait.
                return accepted
            except StudbookError:
                # A server that announces no limit.
                pass
            self._piece_bytes = min(accepted, bulk_data.PIECE_BYTES)
        return self._piece_bytes
