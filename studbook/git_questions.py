"""Asking Git about a folder, so that nothing is changed, waited for long, or run on its behalf.

A repository may come from anybody, and its configuration can name programs that Git runs: a file
system monitor, hooks, diff drivers, filters, helpers that fetch missing objects. None of them runs
here. Filters that the user's own configuration names do, and so do Git LFS's: without them files
would look changed that are not.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_READ_BYTES = 256 * 1024
# Shapes the environment of the questions, and belongs to the user, not to the repository.
_KEPT_VARIABLES = ("GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
_SETTINGS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.pager=cat",
    "core.quotePath=true",
    "core.safecrlf=false",
    "diff.algorithm=myers",
    "diff.indentHeuristic=true",
    "diff.suppressBlankEmpty=false",
)
_LFS_COMMANDS = frozenset({"git-lfs clean -- %f", "git-lfs smudge -- %f", "git-lfs filter-process"})
_OWN_SCOPES = frozenset({"local", "worktree"})


class GitFailed(Exception):  # noqa: N818 - says what happened
    """Git broke down over a question, or did not answer it in time."""


class GitQuestions:
    """Asks Git about one folder, within a deadline that all questions share.

    Args:
        folder: Any folder; whether it belongs to a repository is one of the questions.
        deadline: Moment on `time.monotonic` after which nothing is waited for.
    """

    def __init__(self, folder: Path, deadline: float) -> None:
        self.folder = folder
        self._deadline = deadline
        self._settings = [part for setting in _SETTINGS for part in ("-c", setting)]

    def at(self, folder: Path) -> GitQuestions:
        """Ask about another folder, within the same deadline."""
        return GitQuestions(folder, self._deadline)

    def ask(self, *arguments: str) -> str | None:
        """What Git prints, without the line end; None when it has no answer.

        Raises:
            GitFailed: When it does not answer in time.
            FileNotFoundError: When there is no Git.
        """
        blocks: list[bytes] = []
        code = self._run(arguments, blocks.append)
        text = b"".join(blocks).decode(errors="surrogateescape")
        return None if code else text.rstrip("\n")

    def pass_on(self, take: Callable[[bytes], object], *arguments: str) -> None:
        """Hand on what Git prints, in blocks as they come.

        Raises:
            GitFailed: When it ends with an error or does not answer in time.
            FileNotFoundError: When there is no Git.
        """
        if code := self._run(arguments, take):
            message = f"git {arguments[0]} ended with exit code {code}"
            raise GitFailed(message)

    def own_settings(self, pattern: str) -> list[tuple[str, str]]:
        """Names and values of the repository's own settings that match a regular expression.

        Raises:
            GitFailed: As for `ask`.
        """
        return [(name, value) for scope, name, value in self._configured(pattern)
                if scope in _OWN_SCOPES]  # fmt: skip

    def disarm(self) -> None:
        """Keep filters from running that only the repository itself asks for.

        Raises:
            GitFailed: When one cannot be kept from it.
        """
        drivers = set()
        for name, value in self.own_settings(r"^filter\..*\.(clean|smudge|process)$"):
            if value not in _LFS_COMMANDS:
                drivers.add(name.partition(".")[2].rpartition(".")[0])
        for driver in sorted(drivers):
            if "=" in driver:
                message = (
                    f'the repository configures the filter "{driver}", which cannot be kept off'
                )
                raise GitFailed(message)
            for setting in ("clean=", "smudge=", "process=", "required=false"):
                self._settings += ["-c", f"filter.{driver}.{setting}"]

    def _configured(self, pattern: str) -> Iterator[tuple[str, str, str]]:
        answer = self.ask("config", "--show-scope", "-z", "--get-regexp", pattern)
        parts = (answer or "").split("\0")
        for scope, entry in zip(parts[::2], parts[1::2], strict=False):
            name, _, value = entry.partition("\n")
            yield scope, name, value

    def _run(self, arguments: tuple[str, ...], take: Callable[[bytes], object]) -> int:
        command = ["git", "--no-pager", *self._settings, "-C", str(self.folder), *arguments]
        process = subprocess.Popen(  # noqa: S603 - no shell, and the arguments are our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        with process:
            try:
                assert process.stdout is not None  # noqa: S101 - for the type checker
                descriptor = process.stdout.fileno()
                waiting = select.poll()
                waiting.register(descriptor, select.POLLIN)
                while waiting.poll(self._remaining_s() * 1000):
                    block = os.read(descriptor, _READ_BYTES)
                    if not block:
                        return process.wait(self._remaining_s())
                    take(block)
            except subprocess.TimeoutExpired:
                pass
            finally:
                process.kill()
        message = f"git {arguments[0]} did not answer in time"
        raise GitFailed(message)

    def _remaining_s(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT_VARIABLES)
    }
    return {
        **kept,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        # Objects that a partial clone lacks are not fetched: not one protocol is allowed.
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "LC_ALL": "C",
    }
