"""Real repositories for tests."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """What Git prints, asked by a person of the tests' own."""
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=0"]
    identity += ["-c", "protocol.file.allow=always"]
    answer = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments],  # noqa: S607
        capture_output=True,
        check=True,
    )
    return answer.stdout.decode().strip()


def make_repository(folder: Path) -> Path:
    """A repository with one commit of `train.py`, on the branch `trunk`."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=Begin")
    return folder
