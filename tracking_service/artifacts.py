"""Files of runs. Where the bytes are is not this module's business, only which there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.errors import (
    StudbookError,
    already_exists,
    failed_precondition,
    invalid_field,
)
from tracking_service.presence import found, require_not_deleted
from tracking_service.records import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracking_service.artifact_limits import ArtifactLimits
    from tracking_service.records import NewArtifact, RunPlace
    from tracking_service.store.tracking_store import TrackingStore


def create(
    store: TrackingStore,
    name: str,
    files: Sequence[NewArtifact],
    *,
    allow_overwrite: bool,
    limits: ArtifactLimits,
    now: int,
) -> list[Artifact]:
    """Record files of a run whose bytes are there, all or nothing.

    A path that has the same digest already stays as it is.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE, BLOB_MISSING, ALREADY_EXISTS, RESOURCE_HELD,
            ARTIFACT_PATH_INVALID, QUOTA_EXCEEDED.
    """
    run = found(store.runs.place_for_change(name), name)
    require_not_deleted(run)
    sizes = _sizes(store, run, files)
    present = store.artifacts.at_paths(run, [file.path for file in files])
    new = {
        file.path: Artifact(
            run=run.name,
            path=file.path,
            digest=file.digest,
            size_bytes=sizes[file.digest],
            media_type=file.media_type,
            create_us=now,
        )
        for file in files
        if file.path not in present or present[file.path].digest != file.digest
    }
    replaced = [present[path] for path in new if path in present]
    if replaced:
        _check_replaceable(store, run, replaced, allow_overwrite=allow_overwrite)
    added = [path for path in new if path not in present]
    if added:
        limits.check_run_files(store.artifacts.count(run) + len(added))
    _check_folders(store, run, added)
    store.artifacts.put(run, list(new.values()), replaced=[file.path for file in replaced])
    recorded = {**present, **new}
    return [recorded[file.path] for file in files]


def find(store: TrackingStore, name: str, path: str) -> Artifact:
    """One file of a run, deleted or not.

    Raises:
        StudbookError: NOT_FOUND for the run or the file.
    """
    run = found(store.runs.place(name), name)
    return found(store.artifacts.find(run, path), file_name(run, path))


def upload_target(store: TrackingStore, name: str) -> RunPlace:
    """The run that bytes are uploaded for.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE when it is deleted.
    """
    run = found(store.runs.place(name), name)
    require_not_deleted(run)
    return run


def file_name(run: RunPlace, path: str) -> str:
    """How errors name a file."""
    return f"{run.name}/artifacts/{path}"


def _sizes(store: TrackingStore, run: RunPlace, files: Sequence[NewArtifact]) -> dict[str, int]:
    sizes = store.blobs.sizes_kept(run.workspace, (file.digest for file in files))
    for file in files:
        if file.digest not in sizes:
            raise failed_precondition(
                "BLOB_MISSING",
                file.path,
                f"The bytes of {file.path}, sha256:{file.digest}, are not there; "
                "upload them first.",
                digest=f"sha256:{file.digest}",
            )
    return sizes


def _check_replaceable(
    store: TrackingStore, run: RunPlace, replaced: Sequence[Artifact], *, allow_overwrite: bool
) -> None:
    resource = file_name(run, replaced[0].path)
    if not allow_overwrite:
        raise already_exists(
            resource, "it has another digest; choose another path or set allow_overwrite"
        )
    for hold in store.holds.of_run(run.key):
        raise failed_precondition(
            "RESOURCE_HELD",
            resource,
            f"{resource} cannot be replaced: {hold.holder} rests on it. Choose another path.",
            resource=resource,
            holder=hold.holder,
        )


def _check_folders(store: TrackingStore, run: RunPlace, paths: Sequence[str]) -> None:
    """Make sure that no path is a file and also a folder, which no file system could hold."""
    above = {folder: path for path in paths for folder in _folders(path)}
    for folder in set(above) & set(paths) | set(store.artifacts.at_paths(run, set(above))):
        raise _folder_conflict(folder, above[folder])
    inside = store.artifacts.below(run, paths)
    if inside is not None:
        folder = next(folder for folder in _folders(inside) if folder in set(paths))
        raise _folder_conflict(folder, inside)


def _folders(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _folder_conflict(path: str, inside: str) -> StudbookError:
    return invalid_field(
        "artifacts.path",
        path,
        f"it cannot be a file and the folder of {inside} at once",
        reason="ARTIFACT_PATH_INVALID",
    )
