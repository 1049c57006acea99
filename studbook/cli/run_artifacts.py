"""The answers of `studbook run ls-artifacts` and `studbook run download`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.references import short_run
from studbook.cli.run_text import bytes_text, digest_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from studbook.tracking.v1.artifact_pb2 import Artifact


def print_artifacts(artifacts: Iterable[Artifact]) -> None:
    """The files of a run."""
    rows = (
        (
            artifact.path,
            bytes_text(artifact.size_bytes),
            artifact.media_type or output.MISSING,
            digest_text(artifact.digest),
        )
        for artifact in artifacts
    )
    output.print_table(("PATH", "SIZE", "TYPE", "DIGEST"), rows)


def print_downloaded(run: str, directory: Path, files: Sequence[Path]) -> None:
    """The files that are here now."""
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    output.note(f"{short_run(run)}: {count} in {directory}, every digest checked.")
    output.print_lines(map(str, files))
