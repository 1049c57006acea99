"""Where the demo is played: says what happens, runs commands as somebody, checks what comes out."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from studbook.demo.stack_process import clean_environment, examples_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LONGEST_COMMAND_S = 120
_WIDEST = 110
_INDENT = "  "


class SurpriseError(Exception):
    """Something did not come out as the story has it."""


@dataclass(frozen=True)
class Actor:
    """Somebody who types commands.

    Attributes:
        name: Shown before the prompt.
        folder: The working directory; the login is kept in it too.
        environment: What the actor has set in the shell.
    """

    name: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    exit_code: int
    text: str


class Stage:
    """Prints the story and runs its commands.

    Args:
        address: The gateway.
        folder: An empty folder, in which each actor gets one.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._folder = folder
        self._console = Console(highlight=False, soft_wrap=True)
        self._width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
        self._examples = examples_folder()
        self._steps = 0

    def actor(self, name: str) -> Actor:
        """Somebody new, with a working directory and logins of their own."""
        folder = self._folder / name
        folder.mkdir()
        return Actor(name, folder)

    def step(self, title: str, explanation: str) -> None:
        """Begin a step: its heading, what happens in it and why."""
        self._steps += 1
        self._console.print(Text(f"\n{self._steps}. {title}", style="bold"))
        self.say(explanation)

    def say(self, text: str) -> None:
        """Print prose."""
        for paragraph in textwrap.dedent(text).strip().split("\n\n"):
            self._console.print(Text(textwrap.fill(" ".join(paragraph.split()), self._width)))

    def set(self, actor: Actor, shown: str, **environment: str) -> Actor:
        """Let an actor export variables, with the command that people would type for it."""
        self._prompt(actor, f"export {shown}")
        return replace(actor, environment={**actor.environment, **environment})

    def show(self, lines: Iterable[str]) -> None:
        """Print lines as if a command had printed them."""
        for line in lines:
            self._print_output(line)

    def run(self, actor: Actor, *command: str, exit_code: int = 0) -> str:
        """Run a command before the reader's eyes, and return what it printed.

        Args:
            actor: Who types it.
            *command: The words of the command.
            exit_code: What it has to end with.

        Raises:
            SurpriseError: It ended with another one.
        """
        self._prompt(actor, shlex.join(command))
        outcome = self._execute(actor, command)
        if exit_code:
            self._print_output(f"(exit code {outcome.exit_code})")
        expect(
            outcome.exit_code == exit_code,
            f"`{shlex.join(command)}` ended with exit code {outcome.exit_code}, not {exit_code}",
        )
        return outcome.text

    def ask(self, actor: Actor, *command: str) -> Any:
        """Run a command behind the scenes and return the JSON that it printed."""
        return json.loads(self.read(actor, *command))

    def read(self, actor: Actor, *command: str) -> str:
        """Run a command behind the scenes and return what it printed.

        Raises:
            SurpriseError: It failed.
        """
        finished = subprocess.run(  # noqa: S603 - our own interpreter and modules
            self._words(command),
            cwd=actor.folder,
            env=self._environment(actor),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_COMMAND_S,
            check=False,
        )
        failure = f"exit code {finished.returncode}: {finished.stderr}"
        expect(finished.returncode == 0, f"`{shlex.join(command)}` ended with {failure}")
        return finished.stdout

    def _execute(self, actor: Actor, command: Sequence[str]) -> Outcome:
        printed = []
        with subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            self._words(command),
            cwd=actor.folder,
            env=self._environment(actor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            alarm = threading.Timer(_LONGEST_COMMAND_S, process.kill)
            alarm.start()
            try:
                assert process.stdout is not None  # noqa: S101 - for the type checker
                for line in process.stdout:
                    printed.append(line)
                    self._print_output(line.rstrip("\n"))
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                alarm.cancel()
        return Outcome(code, "".join(printed))

    def _words(self, command: Sequence[str]) -> list[str]:
        """The command with `studbook`, `python` and `examples/` turned into what they stand for."""
        program, *rest = command
        rest = [
            str(self._examples / word.removeprefix("examples/"))
            if word.startswith("examples/")
            else word
            for word in rest
        ]
        if program == "studbook":
            return [sys.executable, "-P", "-m", "studbook.cli", *rest]
        return [sys.executable, *rest]

    def _environment(self, actor: Actor) -> dict[str, str]:
        environment = {
            **clean_environment(),
            "STUDBOOK_ADDRESS": self._address,
            "STUDBOOK_FORCE_TTY": "1",
            "COLUMNS": str(self._width - len(_INDENT)),
            "PYTHONUNBUFFERED": "1",
            # Everything that an actor keeps is kept below the actor's folder.
            "XDG_CONFIG_HOME": str(actor.folder / ".config"),
            "XDG_DATA_HOME": str(actor.folder / ".data"),
            "XDG_STATE_HOME": str(actor.folder / ".state"),
            **actor.environment,
        }
        return environment if self._console.is_terminal else {**environment, "NO_COLOR": "1"}

    def _prompt(self, actor: Actor, command: str) -> None:
        prompt = Text(f"\n{_INDENT}{actor.name} $ ", style="bold cyan")
        self._console.print(prompt + Text(command, style="bold"))

    def _print_output(self, line: str) -> None:
        self._console.print(Text.from_ansi(_INDENT + line))


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads like an assertion
    """Check that the story goes as it should.

    Raises:
        SurpriseError: It does not.
    """
    if not holds:
        raise SurpriseError(otherwise)
