"""Taking files into a run's records."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.copy_progress import CopyProgress
from studbook.exceptions import Conflict
from studbook.file_digests import hash_file
from studbook.file_listing import files_below, given_path
from studbook.logged_values import tags_of
from studbook.model_reference import parse_version
from studbook.run_records import Artifacts, LoggedFile, VersionWanted
from studbook.safe_paths import check_artifact_path
from studbook.version_parents import check_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from studbook.file_digests import HashedFile
    from studbook.record_folder import RunFolder

    # Told what a warning is about, so that there is one about each thing, and what it says.
    Warn = Callable[[str, str], None]


def log_files(folder: RunFolder, path: Path, name: str | None, warn: Warn | None) -> Artifacts:
    """The record of a file or folder, whose bytes are in the run's folder then.

    A file that cannot be copied is recorded as it lies there; without `warn` all are. One that
    changes all the time is left out.

    Raises:
        NotFound: When there is nothing at `path`.
        InvalidArgument: When a name cannot be an artifact path.
        OSError: When a file cannot be read.
    """
    files = list(files_below(path, name))
    with CopyProgress(str(path), sum(file.stat().st_size for file, _ in files)) as progress:
        taken = [
            _taken(folder, file, artifact_path, progress.add, warn) for file, artifact_path in files
        ]
    return Artifacts([file for file in taken if file is not None])


def logged_bytes(folder: RunFolder, data: bytes, path: str, media_type: str = "") -> Artifacts:
    """The record of bytes that are to be a file of the run.

    Raises:
        InvalidArgument: When `path` cannot be an artifact path.
        OSError: When they cannot be written.
    """
    check_artifact_path(path)
    return Artifacts([_logged(folder.stage_bytes(data), path, staged=True, media_type=media_type)])


def log_model_files(
    folder: RunFolder,
    model: Any,
    name: str,
    warn: Warn,
    not_written: Callable[[OSError], None],
) -> Artifacts:
    """The record of a model: of its files, or of the file it is saved to.

    A single file is put into an artifact folder, so that a model is a folder in every case.

    Raises:
        TypeError: When it is neither a path nor an estimator, or cannot be saved.
        NotFound, InvalidArgument, OSError: As for `log_files`.
    """
    check_artifact_path(name)
    if isinstance(model, (str, Path)):
        path = given_path(model)
        artifact = name if path.is_dir() else f"{name}/{path.name}"
        return log_files(folder, path, artifact, warn)
    try:
        with tempfile.TemporaryDirectory(prefix="studbook-") as temporary:
            saved = Path(temporary) / "model.joblib"
            _save_estimator(model, saved)
            staged = folder.stage(saved)
    except OSError as error:
        not_written(error)
        return Artifacts([])
    return Artifacts([_logged(staged, f"{name}/{saved.name}", staged=True)])


def version_wanted(
    model: str | None,
    version: str | None,
    name: str,
    description: str,
    tags: Mapping[str, Any],
    parents: Sequence[str],
) -> VersionWanted:
    """The record that a model, logged under `name`, is to be registered.

    Raises:
        InvalidArgument: When the model's name or the version is missing or malformed, or a parent.
        NotLoggable: When a tag cannot be recorded.
    """
    reference = parse_version(model, version)
    for parent in parents:
        check_parent(parent)
    return VersionWanted(
        model=reference.model,
        version=reference.version,
        paths=[name],
        request_id=str(uuid.uuid4()),
        description=description,
        tags=tags_of(tags),
        parents=list(parents),
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
    try:
        joblib.dump(model, path)
    except OSError:
        raise
    except Exception as error:  # whatever the model's own parts raise
        message = f"{kind} cannot be saved: {error}; save the model yourself and log the file."
        raise TypeError(message) from error


def _taken(
    folder: RunFolder,
    file: Path,
    artifact_path: str,
    on_bytes: Callable[[int], None],
    warn: Warn | None,
) -> LoggedFile | None:
    if warn is None:
        return _logged(hash_file(file, on_bytes), artifact_path, staged=False)
    try:
        return _logged(folder.stage(file, on_bytes), artifact_path, staged=True)
    except Conflict as error:
        warn(f"changing {file}", f"{error} {error.next_step}")
        return None
    except OSError as error:
        logged = _logged(hash_file(file, on_bytes), artifact_path, staged=False)
        warn(
            "not copied",
            f"{file} could not be copied ({error.strerror or error}); it, and whatever else "
            "cannot be, must stay as it is until it is sent.",
        )
        return logged


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
