"""What is recorded of the code, asked of real repositories."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from studbook import code_patch, code_state
from studbook.entry_point import EntryPoint, find_entry_point
from studbook.run_records import Code
from tests.unit.sdk.git_repositories import git, make_repository

if TYPE_CHECKING:
    from studbook.code_patch import Patch
    from studbook.code_state import CodeState

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ456789"


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, of which the test is the program."""
    folder = make_repository(tmp_path / "repository")
    git(folder, "remote", "add", "origin", "https://ada:secret@example.com/a.git")
    started_in(folder, monkeypatch)
    return folder


def started_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PROGRAM", str((folder / "train.py").resolve()))


def observe_code() -> CodeState:
    return code_state.observe_code(EntryPoint(Path(os.environ["TEST_PROGRAM"])))


def patch() -> Patch:
    found = observe_code().patch
    assert found is not None
    return found


def text() -> str:
    data = patch().data
    assert data is not None
    return data.decode()


def test_a_clean_commit_is_described(repository: Path) -> None:
    seen = observe_code()
    assert seen.patch is None
    assert seen.code == Code(
        repository="https://example.com/a.git",
        commit=git(repository, "rev-parse", "HEAD"),
        branch="trunk",
        entry_point="train.py",
    )


def test_the_patch_leads_from_the_commit_to_the_files_that_ran(
    repository: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (repository / "train.py").write_text("print(2)\n")
    (repository / "staged.bin").write_bytes(bytes(range(256)) * 40)
    (repository / "päth with space.txt").write_text("no line end")
    git(repository, "add", "staged.bin", "päth with space.txt")
    (repository / "staged.bin").write_bytes(bytes(range(255, -1, -1)) * 40)

    found = observe_code()

    assert found.patch is not None
    assert found.patch.data is not None
    assert found.code.dirty
    digest = hashlib.sha256(found.patch.data).hexdigest()
    assert found.code.diff_digest == found.patch.digest == f"sha256:{digest}"
    (tmp_path / "code.patch").write_bytes(found.patch.data)
    git(clone, "apply", str(tmp_path / "code.patch"))
    for name in ("train.py", "staged.bin", "päth with space.txt"):
        assert (clone / name).read_bytes() == (repository / name).read_bytes()


def test_the_patch_is_the_same_whatever_git_is_configured_to(repository: Path) -> None:
    (repository / "train.py").write_text("print(2)\n")
    before = patch()
    for name, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "color.ui": "always",
        "diff.context": "9",
        "diff.renames": "copies",
        "diff.relative": "true",
        "diff.submodule": "log",
        "diff.algorithm": "histogram",
        "core.quotePath": "false",
        "status.showUntrackedFiles": "no",
        "status.branch": "false",
        "status.relativePaths": "true",
    }.items():
        git(repository, "config", name, value)
    (repository / "new.py").write_text("")
    assert patch() == before
    assert observe_code().code.untracked_files == ["new.py"]


def test_a_patch_that_is_too_large_has_its_digest_all_the_same(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "train.py").write_text("print(2)\n" * 1000)
    whole = patch()
    monkeypatch.setattr(code_patch, "LARGEST_PATCH", 1000)
    large = patch()
    assert (large.data, large.digest) == (None, whole.digest)


def test_untracked_files_are_listed_and_counted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "--quiet", "--message=Ignore")
    (repository / "data").mkdir()
    for name in ("data/b", "data/a", "z.py", "run.log"):
        (repository / name).write_text("")

    seen = observe_code()
    assert seen.code.untracked_files == ["data/a", "data/b", "z.py"]
    assert seen.code.untracked_count == 3
    assert seen.code.dirty
    assert (seen.patch, seen.code.diff_digest) == (None, "")

    monkeypatch.setattr(code_state, "_MOST_UNTRACKED", 2)
    cut = observe_code().code
    assert (cut.untracked_files, cut.untracked_count) == (["data/a", "data/b"], 3)


def test_asking_changes_nothing(repository: Path) -> None:
    (repository / "train.py").write_text("print(1)\n")  # only its time is new
    before = (repository / ".git" / "index").read_bytes()
    assert not observe_code().code.dirty
    assert (repository / ".git" / "index").read_bytes() == before


@pytest.mark.parametrize("name", [".env", "deploy/server.pem", "id_rsa", "aws-credentials.json"])
def test_files_named_like_secrets_stay_out_of_the_patch(repository: Path, name: str) -> None:
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("very-secret-content\n")
    git(repository, "add", "--force", name)
    (repository / "train.py").write_text("print(2)\n")
    found = patch()
    assert found.left_out == [name]
    assert "very-secret-content" not in text()
    assert "+print(2)" in text()
    assert f"  {name}\n" in text()


def test_files_with_tokens_stay_out_of_the_patch_which_applies_all_the_same(
    repository: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (repository / "a token.py").write_text(f"KEY = '{TOKEN}'\n")
    git(repository, "add", ".")
    (repository / "train.py").write_text("print(2)\n")
    found = patch()
    assert found.left_out == ["a token.py"]
    assert TOKEN not in text()
    (tmp_path / "code.patch").write_text(text())
    git(clone, "apply", str(tmp_path / "code.patch"))
    assert (clone / "train.py").read_text() == "print(2)\n"


def test_a_change_of_secrets_alone_has_a_digest(repository: Path) -> None:
    (repository / ".env").write_text("A=1\n")
    git(repository, "add", ".env")
    assert observe_code().code.diff_digest
    assert "diff --git" not in text()


HOSTILE = {
    "core.fsmonitor": "touch {}",
    "core.pager": "touch {}",
    "diff.external": "touch {}",
    "diff.hostile.textconv": "touch {}; cat",
    "diff.hostile.command": "touch {}",
    "filter.hostile.clean": "touch {}; cat",
    "filter.hostile.process": "touch {}",
    "filter.hostile.required": "true",
    "core.sshCommand": "touch {}",
    "pager.diff": "touch {}",
    "pager.status": "touch {}",
}


def test_a_repository_runs_no_program_of_its_own(repository: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    (repository / ".gitattributes").write_text("*.py diff=hostile filter=hostile\n")
    git(repository, "add", ".gitattributes")
    for name, value in HOSTILE.items():
        git(repository, "config", name, value.format(trap))
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    (repository / "train.py").write_text("print(2)\n")

    seen = observe_code()

    assert not trap.exists()
    assert seen.patch is not None
    assert b"+print(2)" in (seen.patch.data or b"")


def test_a_filter_that_cannot_be_kept_off_keeps_git_off(
    repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trap = tmp_path / "trapped"
    with (repository / ".git" / "config").open("a") as file:
        file.write(f'[filter "a=b"]\n\tclean = touch {trap}\n')
    (repository / ".git" / "info" / "attributes").write_text("*.py filter=a=b\n")
    (repository / "train.py").write_text("print(2)\n")
    assert observe_code().code.dirty
    assert not trap.exists()
    assert "a=b" in caplog.text


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    code = observe_code().code
    assert (code.branch, code.commit) == ("", git(repository, "rev-parse", "HEAD"))


def test_before_the_first_commit_the_patch_holds_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "add", ".")
    started_in(folder, monkeypatch)
    seen = observe_code()
    assert (seen.code.commit, seen.code.branch, seen.code.dirty) == ("", "trunk", True)
    assert "+print(1)" in text()


def test_work_trees_are_repositories(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    started_in(tmp_path / "side", monkeypatch)
    code = observe_code().code
    assert (code.branch, code.dirty, code.entry_point) == ("side", False, "train.py")


def test_changes_inside_of_submodules_make_it_dirty(repository: Path, tmp_path: Path) -> None:
    make_repository(tmp_path / "library")
    git(repository, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    git(repository, "commit", "--quiet", "--message=Add a library")
    assert not observe_code().code.dirty
    (repository / "library" / "train.py").write_text("print(3)\n")
    seen = observe_code()
    assert (seen.code.dirty, seen.patch) == (True, None)
    git(repository / "library", "commit", "--quiet", "--all", "--message=Change")
    assert "+Subproject commit" in text()


def test_in_a_merge_with_conflicts_the_files_as_they_are_count(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "side")
    (repository / "train.py").write_text("print(2)\n")
    git(repository, "commit", "--quiet", "--all", "--message=Two")
    git(repository, "checkout", "--quiet", "trunk")
    (repository / "train.py").write_text("print(3)\n")
    git(repository, "commit", "--quiet", "--all", "--message=Three")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "merge", "side")
    assert "+<<<<<<<" in text()


def test_without_a_repository_or_git_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_in(tmp_path, monkeypatch)
    (tmp_path / "train.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert observe_code().code == Code(entry_point="train.py")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert observe_code().code == Code(entry_point="train.py")


def test_git_that_hangs_does_not_hold_up_training(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hanging = tmp_path / "bin" / "git"
    hanging.parent.mkdir()
    hanging.write_text("#!/bin/sh\nexec sleep 3600\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", str(hanging.parent), prepend=os.pathsep)
    monkeypatch.setattr(code_state, "PATIENCE_S", 0.1)
    assert observe_code().code.commit == ""
    assert "in time" in caplog.text
    assert repository.exists()


def test_a_repository_that_git_does_not_read_is_told_of(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (repository / ".git" / "HEAD").write_text("broken")
    assert observe_code().code.commit == ""
    assert "says why" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["folder/train.py"], "folder/train.py"),
        (["-m", "folder.train"], "-m folder.train"),
        (["-m", "folder"], "-m folder"),
        (["-c", "import show"], "-c"),
    ],
)
def test_what_was_started_is_told(tmp_path: Path, arguments: list[str], expected: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("train.py", "__main__.py", "__init__.py"):
        (folder / name).write_text("import show\n" if name != "__init__.py" else "")
    (tmp_path / "show.py").write_text(
        "from pathlib import Path\nfrom studbook.entry_point import find_entry_point\n"
        "print(find_entry_point().within(Path.cwd()))\n"
    )
    shown = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{code_state.__file__.rpartition('/studbook/')[0]}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == expected


def test_a_notebook_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setenv("JPY_SESSION_NAME", "study/fit.ipynb")
    assert find_entry_point() == EntryPoint(None, "study/fit.ipynb")
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert find_entry_point().within(None) == "notebook"
