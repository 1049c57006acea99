"""Which code runs: asked of Git, and empty where there is no repository or no Git."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.code_patch import read_patch
from studbook.git_questions import GitFailed, GitQuestions
from studbook.redaction import without_remote_credentials, without_secrets
from studbook.run_records import Code

if TYPE_CHECKING:
    from studbook.code_patch import Patch
    from studbook.entry_point import EntryPoint

_log = logging.getLogger("studbook")

# After so long Git is not waited for any more; what it has not told by then stays unknown.
PATIENCE_S = 10.0
_MOST_UNTRACKED = 1000
_LONGEST_PATH = 1024
_MOST_SUBMODULES = 100


@dataclass
class CodeState:
    """What Git says of the code that runs.

    Attributes:
        code: The record, which does not say yet where the patch is stored.
        patch: What differs from the commit; None when nothing does, or when it is unknown.
    """

    code: Code
    patch: Patch | None = None


def observe_code(started: EntryPoint) -> CodeState:
    """Describe the repository that the started program lies in, or else the current folder's.

    Never raises: what Git cannot tell stays empty, with a warning.
    """
    folders = [started.path.parent] if started.path else []
    deadline = time.monotonic() + PATIENCE_S
    try:
        for folder in [*folders, Path.cwd()]:
            git = GitQuestions(folder, deadline)
            top = git.ask("rev-parse", "--show-toplevel")
            if top:
                return _describe(GitQuestions(Path(top), deadline), started)
            if any((parent / ".git").exists() for parent in (folder, *folder.parents)):
                _log.warning(
                    "Studbook: Git does not read the repository that %s lies in; which code runs "
                    "is not recorded. `git -C %s status` says why.",
                    folder,
                    folder,
                )
                break
    except FileNotFoundError:
        pass  # no Git, or the current folder was removed
    except (GitFailed, OSError) as error:
        _log.warning("Studbook: which code runs is not recorded: %s.", error)
    return CodeState(Code(entry_point=started.within(None)))


def _describe(git: GitQuestions, started: EntryPoint) -> CodeState:
    seen = _Seen()
    patch = None
    try:
        git.disarm()
        seen.repository = _remote(git)
        _see_tracked(git, seen)
        if seen.changed:
            base = seen.commit or git.ask("hash-object", "-t", "tree", "--stdin") or ""
            patch = read_patch(git, base, seen.changed)
        _see_untracked(git, seen)
        seen.dirty = bool(seen.changed or seen.untracked_count) or _submodules_changed(git)
    except GitFailed as error:
        # An answer that did not come is not an answer that all is clean.
        seen.dirty = True
        _log.warning("Studbook: which code runs is recorded in part only: %s.", error)
    code = Code(
        repository=without_remote_credentials(seen.repository),
        commit=seen.commit,
        branch=without_secrets(seen.branch),
        dirty=seen.dirty,
        diff_digest=patch.digest if patch else "",
        entry_point=started.within(git.folder),
        untracked_files=seen.untracked,
        untracked_count=seen.untracked_count,
    )
    return CodeState(code, patch)


@dataclass
class _Seen:
    """What Git has told so far."""

    repository: str = ""
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    changed: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    untracked_count: int = 0


def _remote(git: GitQuestions) -> str:
    """The address of `origin`, else of the first remote, as it is configured."""
    found = dict(reversed(git.own_settings(r"^remote\..*\.url$")))
    return found.get("remote.origin.url") or next(reversed(found.values()), "")


def _see_tracked(git: GitQuestions, seen: _Seen) -> None:
    answer = git.ask(
        "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no",
        "--ignore-submodules=dirty", "--no-renames",
    )  # fmt: skip
    if answer is None:
        message = "git status gives no answer"
        raise GitFailed(message)
    for entry in answer.split("\0"):
        kind, _, rest = entry.partition(" ")
        if entry.startswith("# branch.oid "):
            commit = entry.rpartition(" ")[2]
            seen.commit = "" if commit == "(initial)" else commit
        elif entry.startswith("# branch.head "):
            branch = entry.split(" ", 2)[2]
            seen.branch = "" if branch == "(detached)" else branch
        elif kind in {"1", "u"}:
            seen.changed.append(rest.split(" ", 7 if kind == "1" else 9)[-1])


def _see_untracked(git: GitQuestions, seen: _Seen) -> None:
    listing = _UntrackedListing()
    # Git sorts them, by bytes.
    git.pass_on(listing.take, "ls-files", "--others", "--exclude-standard", "-z", "--full-name")
    seen.untracked_count = listing.count
    seen.untracked = [
        without_secrets(path.decode(errors="replace"))[:_LONGEST_PATH] for path in listing.first
    ]


class _UntrackedListing:
    """The first names of a list that may be very long, and how many there are."""

    def __init__(self) -> None:
        self.first: list[bytes] = []
        self.count = 0
        self._begun = b""

    def take(self, block: bytes) -> None:
        self.count += block.count(b"\0")
        if len(self.first) < _MOST_UNTRACKED:
            *names, self._begun = (self._begun + block).split(b"\0")
            self.first += names[: _MOST_UNTRACKED - len(self.first)]


def _submodules_changed(git: GitQuestions) -> bool:
    """Whether files differ inside of submodules; which commit they are at, Git says itself."""
    if not (git.folder / ".gitmodules").exists():
        return False
    answer = git.ask("config", "-f", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$")
    names = [entry.partition("\n")[2] for entry in (answer or "").split("\0") if entry]
    return any(_submodule_changed(git, name) for name in names[:_MOST_SUBMODULES])


def _submodule_changed(git: GitQuestions, name: str) -> bool:
    folder = (git.folder / name).resolve()
    if not (folder.is_relative_to(git.folder.resolve()) and (folder / ".git").exists()):
        return False
    inside = git.at(folder)
    inside.disarm()
    return bool(inside.ask("status", "--porcelain", "--ignore-submodules=dirty", "--no-renames"))
