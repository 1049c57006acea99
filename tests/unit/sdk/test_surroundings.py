"""What is recorded of machine and code, and that no secret is."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from studbook import code_state, environment
from studbook.redaction import command_line_without_secrets, without_credentials, without_secrets
from studbook.run_records import Code

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("--password=x", "--password=***"),
        ("--db.password=x", "--db.password=***"),
        ("api_key=x", "api_key=***"),
        ("+trainer.key=x", "+trainer.key=***"),
        ("AWS_SECRET_ACCESS_KEY=x", "AWS_SECRET_ACCESS_KEY=***"),
        ("--hf-token=x", "--hf-token=***"),
        ("Authorization: Bearer x", "Authorization:***"),
        ("--lr=0.1", "--lr=0.1"),
        ("--monkey=1", "--monkey=1"),
        ("--keyboard=1", "--keyboard=1"),
        ("https://ada:pw@example.com/x", "https://example.com/x"),
        ("--data=postgresql://ada:pw@db/x", "--data=postgresql://db/x"),
        ("https://h/x?token=abc&page=2", "https://h/x?token=***&page=2"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ456789", "***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("--note=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln", "--note=***"),
        ("train.py", "train.py"),
    ],
)
def test_secrets_are_taken_out_of_arguments(given: str, shown: str) -> None:
    assert command_line_without_secrets([given]) == [shown]


def test_the_value_after_a_secret_option_is_hidden() -> None:
    line = ["train.py", "--api-key", "abc", "--token", "--lr", "0.1", "-password", "x"]
    assert command_line_without_secrets(line) == [
        "train.py", "--api-key", "***", "--token", "--lr", "0.1", "-password", "***",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://ada:ghp_x@example.com/a/b.git", "https://example.com/a/b.git"),
        ("https://token@example.com/a.git", "https://example.com/a.git"),
        ("ssh://git@example.com/a.git", "ssh://git@example.com/a.git"),
        ("https://git@example.com/a.git", "https://example.com/a.git"),
        ("https://[::1", "***"),
    ],
)
def test_credentials_are_taken_out_of_addresses(given: str, shown: str) -> None:
    assert without_credentials(given) == shown


def test_scp_like_remotes_stay() -> None:
    assert code_state.clean_remote("git@example.com:a/b.git") == "git@example.com:a/b.git"
    assert without_secrets("plain words") == "plain words"


def test_the_environment_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATABASE_PASSWORD", "hunter2-of-the-environment")
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--token", "abc"])
    seen = environment.observe_environment()
    assert seen.python_version == ".".join(map(str, sys.version_info[:3]))
    assert seen.packages["grpcio"]
    assert list(seen.packages) == sorted(seen.packages)
    assert seen.cpu_count == os.cpu_count()
    assert seen.memory_bytes > 2**20
    assert seen.command_line == ["python", "train.py", "--token", "***"]
    assert "hunter2" not in repr(seen)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, of which the test is the program."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(code_state, "_program", (folder / "train.py").resolve)
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    git(folder, "remote", "add", "origin", "https://ada:secret@example.com/a.git")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=Begin")
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=0"]
    answer = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments],  # noqa: S607
        capture_output=True,
        check=True,
    )
    return answer.stdout.decode().strip()


def test_a_clean_commit_is_described(repository: Path) -> None:
    seen = code_state.observe_code()
    assert seen.commit == git(repository, "rev-parse", "HEAD")
    assert (seen.branch, seen.dirty, seen.diff_digest) == ("trunk", False, "")
    assert seen.repository == "https://example.com/a.git"
    assert seen.entry_point == "train.py"


def test_a_change_makes_it_dirty_whatever_git_is_configured_to(repository: Path) -> None:
    (repository / "train.py").write_text("print(2)\n")
    seen = code_state.observe_code()
    patch = git(repository, "diff", "HEAD", "--binary", "--full-index") + "\n"
    assert seen.dirty
    assert seen.diff_digest == "sha256:" + hashlib.sha256(patch.encode()).hexdigest()
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "color.ui", "always")
    git(repository, "config", "diff.context", "9")
    assert code_state.observe_code().diff_digest == seen.diff_digest


def test_untracked_files_make_it_dirty_without_a_patch(repository: Path) -> None:
    (repository / "new.py").write_text("")
    seen = code_state.observe_code()
    assert (seen.dirty, seen.diff_digest) == (True, "")


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert code_state.observe_code().branch == ""


def test_without_a_repository_or_git_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_state, "_program", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert code_state.observe_code().commit == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_state.observe_code() == Code()


def test_git_that_hangs_does_not_hold_up_training(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_state, "_TIMEOUT_S", 0.0)
    assert code_state.observe_code().commit == ""
    assert repository.exists()
