"""What one does with registered models, in one call each.

Every function takes an open `client`, or opens one for the call with the usual settings.
"""

from __future__ import annotations

import time
import uuid
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from studbook import loaded_report
from studbook.client import Client
from studbook.exceptions import AlreadyExists, InvalidArgument, NotFound, VerificationFailed
from studbook.model_reference import NEXT, STAGES, Reference, parse_reference, parse_version
from studbook.registry.v1 import (
    lineage_service_pb2,
    model_pb2,
    model_service_pb2,
    promotion_service_pb2,
    serving_service_pb2,
    version_pb2,
)
from studbook.version_parents import read_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from studbook.model_directory import FetchedModel
    from studbook.parallel_transfers import Progress

__all__ = [
    "Reference",
    "certificate",
    "fetch",
    "lineage",
    "parse_reference",
    "promote",
    "register",
    "resolve",
    "rollback",
    "transition",
]

_BUMPS = {
    word: model_service_pb2.VersionBump.Value(word.upper().replace("NEXT-", "VERSION_BUMP_"))
    for word in NEXT
}


class LoggedRun(Protocol):
    """What is needed of a run whose files become a version."""

    @property
    def name(self) -> str:
        """Resource name."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the server has everything."""


def register(
    run: LoggedRun | str,
    name: str,
    version: str,
    paths: Sequence[str] | str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    parents: Sequence[str] = (),
    wait: float = 300.0,
    request_id: str = "",
    client: Client | None = None,
) -> version_pb2.Version:
    """Register files of a run as a version of a model; the model is made when it is missing.

    Args:
        run: The run, or its resource name.
        name: Id of the model.
        version: Number, e.g. `1.2.0`; or `next-patch`, `next-minor` or `next-major`, for the next
            one after the highest release.
        paths: Artifact paths of the run: files, or folders with everything below them.
        description: What is special about this version.
        tags: Free labels of the version.
        parents: What training began from: `NAME@1.2.0` for versions, `URI@sha256:...` for bases
            from elsewhere.
        wait: Seconds to wait for the server to have verified the files.
        request_id: UUID; a call with one that was used before gets the first answer again.
        client: Connection.

    Returns:
        The version; READY unless verification takes longer than `wait`.

    Raises:
        AlreadyExists: When the number is taken by other files.
        VerificationFailed: When the stored files do not have their digests.
        StudbookError: Else as in the contract.
    """
    if not isinstance(run, str):
        run.flush()
        run = run.name
    wanted = [paths] if isinstance(paths, str) else list(paths)
    with _connection(client) as connection:
        model = parse_version(name, version).model_name(connection.workspace)
        begun_from = [read_parent(parent, connection.workspace) for parent in parents]
        ensure_model(connection, model)
        request = model_service_pb2.CreateVersionRequest(
            parent=model,
            version_id="" if version in NEXT else version,
            bump=_BUMPS.get(version, model_service_pb2.VERSION_BUMP_UNSPECIFIED),
            source_run=run,
            artifact_paths=wanted,
            version=version_pb2.Version(description=description, tags=tags or {}),
            parents=begun_from,
            request_id=request_id or str(uuid.uuid4()),
        )
        created = connection.models.CreateVersion(request).version
        return _wait_until_verified(connection, created, wait)


def ensure_model(client: Client, model: str) -> None:
    """Make a model unless it is there.

    Args:
        client: Connection.
        model: Resource name of the model.
    """
    try:
        client.models.GetModel(model_service_pb2.GetModelRequest(name=model))
    except NotFound:
        parent, _, model_id = model.rpartition("/models/")
        request = model_service_pb2.CreateModelRequest(
            parent=parent,
            model_id=model_id,
            model=model_pb2.Model(),
            request_id=str(uuid.uuid4()),
        )
        try:
            client.models.CreateModel(request)
        except AlreadyExists:
            return  # somebody made it in between


def _wait_until_verified(
    client: Client, version: version_pb2.Version, wait: float
) -> version_pb2.Version:
    deadline = time.monotonic() + wait
    pause = 0.05
    while version.state == version_pb2.VERSION_STATE_PENDING and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
        request = model_service_pb2.GetVersionRequest(name=version.name)
        version = client.models.GetVersion(request).version
    if version.state == version_pb2.VERSION_STATE_FAILED:
        message = f"{version.name} did not verify: {version.state_reason}"
        raise VerificationFailed(message, metadata={"resource": version.name})
    return version


def resolve(
    reference: str | Reference, *, at: datetime | None = None, client: Client | None = None
) -> serving_service_pb2.ResolveVersionResponse:
    """Find the version that a reference stands for, now or at a moment in the past.

    Args:
        reference: `NAME` (Production), `NAME@STAGE`, `NAME@ALIAS`, `NAME@NUMBER`, or `NAME@RANGE`,
            which stands for the highest number in it.
        at: Moment to answer for, with its time zone; for a stage or alias only.
        client: Connection.

    Raises:
        NotFound: When there is no such model or version, or nothing in that stage.
    """
    wanted = _read(reference)
    with _connection(client) as connection:
        request = serving_service_pb2.ResolveVersionRequest(
            model=wanted.model_name(connection.workspace)
        )
        if wanted.version:
            request.version = wanted.version
        elif wanted.alias:
            request.alias = wanted.alias
        elif wanted.range:
            request.range = wanted.range
        else:
            request.stage = stage_number(wanted.stage)
        if at is not None:
            if at.tzinfo is None:
                message = f"{at} has no time zone; give one, e.g. datetime.now(UTC)."
                raise InvalidArgument(message, reason="FIELD_INVALID")
            request.at.FromDatetime(at)
        return connection.serving.ResolveVersion(request)


def fetch(
    reference: str | Reference,
    directory: Path | str,
    *,
    progress: Progress | None = None,
    report: bool = True,
    client: Client | None = None,
) -> FetchedModel:
    """Bring a version's files into a directory, verified, all of them or none.

    A directory that has the version already is verified and left as it is; one with another
    version of a fetched model is replaced. The server is told what was loaded here, as evidence of
    what is in use; that it cannot be told is no failure.

    Args:
        reference: As for `resolve`.
        directory: Where the files are to be.
        progress: Told how far the fetching is.
        report: Whether to tell the server.
        client: Connection.

    Raises:
        NotFound: When there is nothing that the reference stands for.
        AlreadyExists: When the directory holds something else.
        VerificationFailed: When bytes do not have their digest.
    """
    from studbook.model_directory import fetch_version  # noqa: PLC0415 - POSIX only, unlike the rest

    with _connection(client) as connection:
        version = resolve(reference, client=connection).version
        fetched = fetch_version(connection, version, directory, progress=progress)
        reported = report and loaded_report.try_to_send(connection, version.name, version.digest)
        return replace(fetched, reported=reported)


def transition(
    reference: str | Reference,
    stage: str,
    *,
    reason: str = "",
    expected_production: str | None = None,
    validate_only: bool = False,
    break_glass: bool = False,
    client: Client | None = None,
) -> promotion_service_pb2.TransitionStageResponse:
    """Move a version, named by number, to a stage.

    Args:
        reference: `NAME@NUMBER`.
        stage: `none`, `staging`, `production` or `archived`.
        reason: Why; entered in the ledger.
        expected_production: Number of the version that must be in Production, or `none`; the
            call is refused when another one is. Not checked when absent.
        validate_only: Check everything, change nothing.
        break_glass: Pass the policies by in an emergency; marked for ever.
        client: Connection.

    Raises:
        PermissionDenied: When the caller may not.
        FailedPrecondition: When a rule forbids it.
        Conflict: When another version is in Production than expected.
    """
    wanted = _read(reference)
    if not wanted.version:
        message = f"{wanted} names no number; name the version by its number, NAME@1.2.0."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    with _connection(client) as connection:
        model = wanted.model_name(connection.workspace)
        request = promotion_service_pb2.TransitionStageRequest(
            name=f"{model}/versions/{wanted.version}",
            to_stage=stage_number(stage),
            reason=reason,
            expected_production=_expected(model, expected_production),
            request_id="" if validate_only else str(uuid.uuid4()),
            validate_only=validate_only,
            break_glass=break_glass,
        )
        return connection.promotions.TransitionStage(request)


def promote(
    reference: str | Reference,
    *,
    reason: str = "",
    expected_production: str | None = None,
    client: Client | None = None,
) -> promotion_service_pb2.TransitionStageResponse:
    """Put a version into Production; see `transition`."""
    return transition(
        reference,
        "production",
        reason=reason,
        expected_production=expected_production,
        client=client,
    )


def rollback(
    model: str,
    *,
    to_version: str = "",
    reason: str = "",
    expected_production: str | None = None,
    validate_only: bool = False,
    client: Client | None = None,
) -> promotion_service_pb2.RollbackResponse:
    """Put the version back into Production that was there before.

    Args:
        model: Id of the model.
        to_version: Number of the version to return to; default: the one before the present one.
        reason: Why; entered in the ledger.
        expected_production: As for `transition`.
        validate_only: As for `transition`.
        client: Connection.

    Raises:
        FailedPrecondition: When there is no earlier one.
    """
    with _connection(client) as connection:
        name = parse_reference(model).model_name(connection.workspace)
        request = promotion_service_pb2.RollbackRequest(
            name=name,
            to_version=f"{name}/versions/{to_version}" if to_version else "",
            reason=reason,
            expected_production=_expected(name, expected_production),
            request_id="" if validate_only else str(uuid.uuid4()),
            validate_only=validate_only,
        )
        return connection.promotions.Rollback(request)


def lineage(
    reference: str | Reference, *, client: Client | None = None
) -> lineage_service_pb2.GetLineageResponse:
    """How a version came to be: run, parameters, data, code, environment, transitions."""
    wanted = _read(reference)
    with _connection(client) as connection:
        name = f"{wanted.model_name(connection.workspace)}/versions/{wanted.version}"
        if not wanted.version:
            name = resolve(wanted, client=connection).version.name
        request = lineage_service_pb2.GetLineageRequest(name=name)
        return connection.lineage.GetLineage(request)


def certificate(reference: str | Reference, *, client: Client | None = None) -> bytes:
    """The certificate of a version, as the registry signed it: a DSSE envelope.

    `studbook.certificates.verification` verifies it without a network.

    Raises:
        NotFound: When there is nothing that the reference stands for.
        FailedPrecondition: When the version's files have not been verified.
    """
    with _connection(client) as connection:
        name = resolve(reference, client=connection).version.name
        request = lineage_service_pb2.GetCertificateRequest(name=name)
        return connection.lineage.GetCertificate(request).envelope


def stage_number(stage: str) -> version_pb2.Stage.ValueType:
    """The contract's number for a stage as people write it.

    Raises:
        InvalidArgument: When there is no such stage.
    """
    if stage.lower() not in STAGES:
        message = f'"{stage}" is not a stage; the stages are {", ".join(STAGES)}.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return version_pb2.Stage.Value(f"STAGE_{stage.upper()}")


def _expected(model: str, number: str | None) -> str:
    if number is None or number == "none":
        return number or ""
    return f"{model}/versions/{number}"


def _read(reference: str | Reference) -> Reference:
    return parse_reference(reference) if isinstance(reference, str) else reference


def _connection(client: Client | None) -> AbstractContextManager[Client]:
    return nullcontext(client) if client is not None else Client()
