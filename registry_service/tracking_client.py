"""The registry as a client of the tracking service."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import grpc
import structlog

from service_chassis.assertion import METADATA_KEY
from service_chassis.caller import Caller
from service_chassis.errors import (
    Code,
    StudbookError,
    failed_precondition,
    not_found,
    unavailable,
)
from service_chassis.service_channel import ServiceChannel
from service_chassis.status_details import error_info
from studbook.tracking.v1 import dataset_service_pb2, run_service_pb2
from studbook.tracking.v1.dataset_service_pb2_grpc import DatasetServiceStub
from studbook.tracking.v1.run_service_pb2_grpc import RunServiceStub

if TYPE_CHECKING:
    from service_chassis.assertion import AssertionSigner
    from service_chassis.certificates import ClientCertificate
    from studbook.tracking.v1.dataset_pb2 import Dataset

_log = structlog.get_logger("studbook.tracking_client")

_HOLD_RUN = "/studbook.tracking.v1.RunService/HoldRun"
_GET_DATASET = "/studbook.tracking.v1.DatasetService/GetDataset"
HOLD_FILES = run_service_pb2.HOLD_LEVEL_FILES
HOLD_RUN = run_service_pb2.HOLD_LEVEL_RUN
# A run's whole record comes in one message; the tracking service limits what is in it.
_OPTIONS = [("grpc.max_receive_message_length", -1)]


class TrackingClient:
    """Asks the tracking service to keep runs and to tell of datasets, in the name of the caller.

    Args:
        address: Address of the service, `host:port` or any gRPC target.
        signer: Signs the registry's assertions.
        timeout_s: How long to wait for an answer.
        certificate: With what the service is called; None: in plain text.
    """

    def __init__(
        self,
        address: str,
        signer: AssertionSigner,
        timeout_s: float,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._channel = ServiceChannel(address, _OPTIONS, certificate)
        # Stubs ask for this type, and use the part that there is.
        channel = cast("grpc.aio.Channel", self._channel)
        self._runs = RunServiceStub(channel)
        self._datasets = DatasetServiceStub(channel)
        self._signer = signer
        self._timeout_s = timeout_s

    async def hold_run(
        self,
        caller: Caller,
        run: str,
        holder: str,
        level: run_service_pb2.HoldLevel.ValueType,
        *,
        validate_only: bool = False,
    ) -> run_service_pb2.HoldRunResponse:
        """Make sure that a run stays, and read it.

        Args:
            caller: Who calls the registry.
            run: Name of the run.
            holder: Name of the version that rests on it.
            level: What of the run has to stay.
            validate_only: Read only; hold nothing.

        Raises:
            StudbookError: NOT_FOUND; RUN_NOT_ACTIVE when it is deleted; SERVICE_UNAVAILABLE for
                everything else that keeps the tracking service from a clear yes.
        """
        vouched = Caller(caller.principal, {"runs.hold": (run,)}, via="registry")
        assertion = self._signer.sign(vouched, _HOLD_RUN, "tracking")
        request = run_service_pb2.HoldRunRequest(
            run=run, holder=holder, level=level, validate_only=validate_only
        )
        try:
            return await self._runs.HoldRun(
                request, timeout=self._timeout_s, metadata=((METADATA_KEY, assertion),)
            )
        except grpc.aio.AioRpcError as error:
            raise _for_caller(error, run) from error

    async def dataset(self, caller: Caller, name: str) -> Dataset:
        """Read a dataset version with the profiles of its columns.

        Args:
            caller: Who calls the registry; must hold `datasets.read` on the dataset.
            name: Name of the dataset version.

        Raises:
            StudbookError: PERMISSION_MISSING, NOT_FOUND or SERVICE_UNAVAILABLE.
        """
        caller.require("datasets.read", name)
        vouched = Caller(caller.principal, {"datasets.read": (name,)}, via="registry")
        assertion = self._signer.sign(vouched, _GET_DATASET, "tracking")
        try:
            answer = await self._datasets.GetDataset(
                dataset_service_pb2.GetDatasetRequest(name=name),
                timeout=self._timeout_s,
                metadata=((METADATA_KEY, assertion),),
            )
        except grpc.aio.AioRpcError as error:
            raise _for_caller(error, name) from error
        return answer.dataset

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


def _for_caller(error: grpc.aio.AioRpcError, resource: str) -> StudbookError:
    info = error_info(error)
    if error.code() is grpc.StatusCode.NOT_FOUND and info is not None:
        return not_found(resource)
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION and info is not None:
        message = error.details() or f"{resource} cannot be relied on."
        return failed_precondition(info.reason, resource, message, **dict(info.metadata))
    if error.code() is grpc.StatusCode.ABORTED and info is not None:
        return StudbookError(
            Code.ABORTED, info.reason, error.details() or "", metadata=dict(info.metadata)
        )
    _log.warning("tracking service failed", code=error.code().name, details=error.details())
    return unavailable(
        "SERVICE_UNAVAILABLE",
        f"The tracking service does not answer, and without it nothing can be said about "
        f"{resource}; try again shortly.",
        service="tracking",
    )
