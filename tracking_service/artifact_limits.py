"""How much may be stored, as administrators set it."""

from __future__ import annotations

from dataclasses import dataclass

from service_chassis.errors import quota_exceeded


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """Limits that uploads and records of files are held to.

    Attributes:
        artifact_bytes: Largest file.
        workspace_bytes: Most bytes that a workspace keeps, each digest counted once; 0: any number.
        run_files: Most files of one run.
    """

    artifact_bytes: int
    workspace_bytes: int
    run_files: int

    def check_file(self, size: int) -> None:
        """Make sure that a file of this size may be stored.

        Raises:
            StudbookError: QUOTA_EXCEEDED.
        """
        if size > self.artifact_bytes:
            raise quota_exceeded(
                "artifact_bytes",
                self.artifact_bytes,
                size,
                f"The file has {size} bytes; files may have {self.artifact_bytes}. Split it, or "
                "have the limit raised.",
            )

    def check_workspace(self, workspace: str, used: int, size: int) -> None:
        """Make sure that a workspace has room for so many bytes more.

        Raises:
            StudbookError: QUOTA_EXCEEDED.
        """
        if self.workspace_bytes and used + size > self.workspace_bytes:
            raise quota_exceeded(
                "workspace_bytes",
                self.workspace_bytes,
                used + size,
                f"{workspace} keeps {used} bytes and may keep {self.workspace_bytes}, so there is "
                f"no room for {size} more. Have the limit raised, or overwrite files that are no "
                "longer needed and wait for their bytes to be collected.",
            )

    def check_run_files(self, count: int) -> None:
        """Make sure that a run may have so many files.

        Raises:
            StudbookError: QUOTA_EXCEEDED.
        """
        if count > self.run_files:
            raise quota_exceeded(
                "run_files",
                self.run_files,
                count,
                f"The run would have {count} files; runs may have {self.run_files}. Pack small "
                "files into an archive, or have the limit raised.",
            )
