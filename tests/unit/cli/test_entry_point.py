"""Finding commands, help, and what becomes of errors."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from studbook import __version__
from studbook.cli import __main__ as entry
from studbook.exceptions import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable


def studbook(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "studbook.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["--help"]) == 0

    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in entry.COMMANDS)


@pytest.mark.parametrize(
    "words",
    [(name,) for name in entry.COMMANDS] + [("model", "alias")],
    ids=" ".join,
)
def test_lists_of_commands_say_of_each_what_it_does(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """What does not fit on its line is cut off there by the library."""
    assert entry.run([*words, "--help"]) == 0

    _, _, listed = capsys.readouterr().out.partition("Commands:\n")
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from studbook.cli.__main__ import run; run(['--help']); "
        "print([m for m in ('grpc', 'rich', 'typer', 'google', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stdout.endswith("[]\n")


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run([]) == 2
    assert "Usage" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["--version"]) == 0
    assert capsys.readouterr().out == f"studbook {__version__}\n"


def test_misspelt_command_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["modle", "ls"]) == 2
    assert "studbook model" in capsys.readouterr().err


def test_wrong_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["whoami", "--colour"]) == 2
    assert "--colour" in capsys.readouterr().err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Make `studbook probe` run a function."""

    def install(work: Callable[[], Any]) -> None:
        module = types.ModuleType("studbook.cli.probe")
        module.probe = work  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "studbook.cli.probe", module)
        monkeypatch.setitem(entry.COMMANDS, "probe", ("probe", "Only for this test."))

    return install


def test_error_is_told_with_next_step_and_exit_code(
    command: Callable[[Callable[[], Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        message = "There is no such thing."
        raise NotFound(message, reason="NOT_FOUND", next_step="Make one.")

    command(fail)

    assert entry.run(["probe"]) == 3
    assert capsys.readouterr().err == "Error: There is no such thing. [NOT_FOUND]\nMake one.\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/disk/model.bin"), "/disk/model.bin: "),
        (OSError(errno.ENOSPC, "No space left on device", "a\x1b[2Jb"), "a\ufffd[2Jb: "),
        (OSError(errno.ENOSPC, "No space left on device"), ""),
    ],
)
def test_what_the_system_refuses_is_one_line(
    command: Callable[[Callable[[], Any]], None],
    capsys: pytest.CaptureFixture[str],
    error: OSError,
    said: str,
) -> None:
    def fail() -> None:
        raise error

    command(fail)

    assert entry.run(["probe"]) == 1
    assert capsys.readouterr().err == f"Error: {said}No space left on device.\n"


def test_interruption(command: Callable[[Callable[[], Any]], None]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    command(interrupt)

    assert entry.run(["probe"]) == 130


def test_unreachable_server_is_one_line_and_a_remedy(tmp_path: os.PathLike[str]) -> None:
    done = studbook(
        "login",
        "--as",
        "ada",
        STUDBOOK_ADDRESS="127.0.0.1:9",
        STUDBOOK_CONFIG_DIR=os.fspath(tmp_path),
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: 127.0.0.1:9 cannot be reached")
    assert "studbook up" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_without_the_server_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )

    assert entry.run(["up"]) == 1
    assert "pip install 'studbook[server]'" in capsys.readouterr().err
