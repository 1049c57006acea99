"""Choosing the files of a version from those of its run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from service_chassis.errors import failed_precondition, invalid_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from registry_service.records import File


def select_files(
    run: str, available: Sequence[File], artifact_paths: Iterable[str]
) -> tuple[File, ...]:
    """The files that paths stand for, sorted by path.

    A path is a file, which keeps its path, or a folder, whose files lose the folder's path.

    Raises:
        StudbookError: FILES_MISSING when a path is neither; FIELD_INVALID when two different files
            would have the same path in the version.
    """
    chosen: dict[str, File] = {}
    for index, path in enumerate(artifact_paths):
        found = _below(available, path)
        if not found:
            raise _missing(run, path)
        for file in found:
            known = chosen.setdefault(file.path, file)
            if known.digest != file.digest:
                raise invalid_field(
                    f"artifact_paths[{index}]",
                    path,
                    f"it holds another {file.path} than a path before; name fewer paths",
                )
    return tuple(chosen[path] for path in sorted(chosen))


def _below(available: Sequence[File], path: str) -> list[File]:
    folder = f"{path}/"
    exact = [file for file in available if file.path == path]
    inside = [
        replace(file, path=file.path.removeprefix(folder))
        for file in available
        if file.path.startswith(folder)
    ]
    return exact or inside


def _missing(run: str, path: str) -> Exception:
    return failed_precondition(
        "FILES_MISSING",
        run,
        f"{run} has no artifact {path} and none below it; upload it first, or name another.",
        resource=run,
        path=path,
    )


def digest_files(files: Iterable[File]) -> str:
    """SHA-256 over the list of the files, each as its digest, two spaces, path and line break.

    The files must be sorted by path. `sha256sum` prints, and checks, lists of this form.
    """
    lines = "".join(f"{file.digest}  {file.path}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
