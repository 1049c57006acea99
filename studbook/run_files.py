"""Taking files into a run's records."""

from __future__ import annotations

import logging
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.copy_progress import CopyProgress
from studbook.file_digests import hash_file
from studbook.file_listing import files_below
from studbook.logged_values import tags_of
from studbook.model_reference import parse_version
from studbook.run_records import Artifacts, LoggedFile, VersionWanted
from studbook.safe_paths import check_artifact_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from studbook.file_digests import HashedFile
    from studbook.record_folder import RunFolder

_log = logging.getLogger("studbook")


def log_files(folder: RunFolder, path: Path, name: str | None, *, copy: bool) -> Artifacts:
    """The record of a file or folder; with `copy` its bytes are in the run's folder then.

    Raises:
        NotFound: When there is nothing at `path`.
        InvalidArgument: When a name cannot be an artifact path.
        OSError: When a file cannot be read.
    """
    files = list(files_below(path, name))
    with CopyProgress(str(path), sum(file.stat().st_size for file, _ in files)) as progress:
        return Artifacts(
            [
                _taken(folder, file, artifact_path, progress.add, copy=copy)
                for file, artifact_path in files
            ]
        )


def logged_bytes(folder: RunFolder, data: bytes, path: str, media_type: str = "") -> Artifacts:
    """The record of bytes that are to be a file of the run.

    Raises:
        InvalidArgument: When `path` cannot be an artifact path.
    """
    check_artifact_path(path)
    try:
        return Artifacts(
            [_logged(folder.stage_bytes(data), path, staged=True, media_type=media_type)]
        )
    except OSError as error:
        _log.warning("Studbook: %s could not be kept: %s. Training goes on.", path, error)
        return Artifacts([])


def log_model_files(folder: RunFolder, model: Any, name: str) -> Artifacts:
    """The record of a model: of its files, or of the file it is saved to.

    A single file is put into an artifact folder, so that a model is a folder in every case.

    Raises:
        TypeError: When it is neither a path nor an estimator.
    """
    if isinstance(model, (str, Path)):
        path = Path(model)
        artifact = name if path.is_dir() else f"{name}/{path.name}"
        return log_files(folder, path, artifact, copy=True)
    with tempfile.TemporaryDirectory(prefix="studbook-") as temporary:
        saved = Path(temporary) / "model.joblib"
        _save_estimator(model, saved)
        return log_files(folder, saved, f"{name}/{saved.name}", copy=True)


def version_wanted(
    model: str | None, version: str | None, name: str, description: str, tags: Mapping[str, Any]
) -> VersionWanted:
    """The record that a model, logged under `name`, is to be registered.

    Raises:
        InvalidArgument: When the model's name or the version is missing or malformed.
        NotLoggable: When a tag cannot be recorded.
    """
    reference = parse_version(model, version)
    return VersionWanted(
        model=reference.model,
        version=reference.version,
        paths=[name],
        request_id=str(uuid.uuid4()),
        description=description,
        tags=tags_of(tags),
    )


def _save_estimator(model: Any, path: Path) -> None:
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if not (hasattr(model, "fit") and hasattr(model, "get_params")):
        message = f"{kind} is not an estimator; save the model yourself and log the file."
        raise TypeError(message)
    try:
        import joblib  # noqa: PLC0415 - comes with scikit-learn, not with Studbook
    except ImportError:
        message = f"Saving {kind} takes joblib; install it, or log a file that you saved."
        raise TypeError(message) from None
    joblib.dump(model, path)


def _taken(
    folder: RunFolder,
    file: Path,
    artifact_path: str,
    on_bytes: Callable[[int], None],
    *,
    copy: bool,
) -> LoggedFile:
    if copy:
        try:
            return _logged(folder.stage(file, on_bytes), artifact_path, staged=True)
        except OSError as error:
            _log.warning(
                "Studbook: %s could not be copied (%s); it must stay as it is until it is sent.",
                file,
                error.strerror or error,
            )
    return _logged(hash_file(file, on_bytes), artifact_path, staged=False)


def _logged(
    file: HashedFile, artifact_path: str, *, staged: bool, media_type: str = ""
) -> LoggedFile:
    return LoggedFile(
        path=artifact_path,
        digest=file.digest,
        size=file.state.size,
        local_path=str(file.path.absolute()),
        modified_ns=file.state.modified_ns,
        inode=file.state.inode,
        staged=staged,
        media_type=media_type,
    )
