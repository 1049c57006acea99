"""Which code runs: asked of Git, and empty where there is no repository or no Git."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from studbook.file_digests import READ_BYTES, prefixed
from studbook.redaction import without_credentials
from studbook.run_records import Code

_TIMEOUT_S = 10.0


def observe_code() -> Code:
    """Describe the repository that the started program lies in, or else the current folder's."""
    program = _program()
    deadline = time.monotonic() + _TIMEOUT_S
    folders = [program.parent] if program else []
    for folder in [*folders, Path.cwd()]:
        git = _Git(folder, deadline)
        top = git.ask("rev-parse", "--show-toplevel")
        if top:
            return _describe(git, Path(top), program)
    return Code(entry_point=program.name if program else "")


def _program() -> Path | None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if not main:
        return None
    path = Path(main)
    return path.resolve() if path.exists() else None


def _describe(git: _Git, top: Path, program: Path | None) -> Code:
    commit = git.ask("rev-parse", "--verify", "--quiet", "HEAD")
    branch = git.ask("symbolic-ref", "--quiet", "--short", "HEAD")
    # Git is asked in a way that it does not have to write to the repository.
    status = git.ask("status", "--porcelain", "--untracked-files=normal")
    inside = program is not None and program.is_relative_to(top.resolve())
    return Code(
        repository=_remote(git),
        commit=commit,
        branch=branch,
        # An answer that did not come is not an answer that all is clean.
        dirty=bool(status) or git.failed,
        diff_digest=git.diff_digest() if commit and status else "",
        entry_point=program.relative_to(top.resolve()).as_posix() if program and inside else "",
    )


def _remote(git: _Git) -> str:
    url = git.ask("remote", "get-url", "origin")
    if not url:
        names = git.ask("remote").split()
        url = git.ask("remote", "get-url", names[0]) if names else ""
    return clean_remote(url)


def clean_remote(url: str) -> str:
    """A remote's address without credentials; `git@host:path` stays as it is."""
    return without_credentials(url) if "://" in url else url


class _Git:
    """Asks Git about one folder, within a deadline that all questions share.

    Attributes:
        failed: A question was not answered in time, or Git broke down over it.
    """

    def __init__(self, folder: Path, deadline: float) -> None:
        self._folder = folder
        self._deadline = deadline
        self.failed = False

    def ask(self, *arguments: str) -> str:
        """What Git prints, without the line end; empty when it has no answer."""
        try:
            answer = subprocess.run(  # noqa: S603 - fixed arguments, no shell
                self._command(*arguments),
                capture_output=True,
                check=False,
                timeout=self._remaining(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            return ""
        except (OSError, subprocess.TimeoutExpired):
            self.failed = True
            return ""
        return answer.stdout.decode(errors="replace").strip() if answer.returncode == 0 else ""

    def diff_digest(self) -> str:
        """Digest of the patch that leads from the commit to the tracked files as they are."""
        # The forms of output that a user's configuration could change are all fixed here.
        command = self._command(
            "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv",
            "--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--full-index",
        )  # fmt: skip
        total, empty = hashlib.sha256(), True
        try:
            with subprocess.Popen(  # noqa: S603 - fixed arguments, no shell
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
            ) as process:
                assert process.stdout is not None  # noqa: S101 - for the type checker
                while block := process.stdout.read(READ_BYTES):
                    total.update(block)
                    empty = False
                    if not self._remaining():
                        process.kill()
                        return ""
        except OSError:
            return ""
        return "" if empty or process.returncode else prefixed(total.hexdigest())

    def _command(self, *arguments: str) -> list[str]:
        return ["git", "-c", "diff.algorithm=myers", "-C", str(self._folder), *arguments]

    def _remaining(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    @staticmethod
    def _environment() -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
