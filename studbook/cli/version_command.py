"""Runs a command for each version that a name comes to stand for.

The command is run for the latest version only: what came and went while it ran is passed over. It
fails when it ends with another exit code than 0, and is then run again, later and later, until it
succeeds or another version has come.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from studbook.cli import output
from studbook.cli.references import short_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from studbook.watching import Standing

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_NOT_FOUND = 127


@dataclass(frozen=True)
class VersionCommand:
    """A command with places for a version.

    Attributes:
        words: Its words, in which `{version}` and so on stand.
    """

    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> VersionCommand:
        """Split a command as a shell would; no shell takes part in running it.

        Raises:
            BadParameter: It is empty, or has a quote too few.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            message = f'"{text}" cannot be read as a command: {error}.'
            raise typer.BadParameter(message) from None
        if not words:
            message = "the command is empty"
            raise typer.BadParameter(message)
        return cls(words)

    def run(self, standing: Standing) -> int:
        """Run it for a version; returns its exit code, 127 when there is no such command."""
        places = places_of(standing)
        words = [_filled(word, places) for word in self.words]
        more = {f"STUDBOOK_{place.upper()}": text for place, text in places.items()}
        try:
            return subprocess.run(words, env={**os.environ, **more}, check=False).returncode  # noqa: S603 - it is the caller's own command
        except OSError as error:
            output.note(f"{words[0]} cannot be run: {error.strerror}.")
            return _NOT_FOUND


def places_of(standing: Standing) -> Mapping[str, str]:
    """What the places of a command stand for."""
    return {
        "version": short_version(standing.version),
        "number": standing.number,
        "model": standing.version.split("/")[3],
        "name": standing.version,
        "digest": standing.digest,
    }


def _filled(word: str, places: Mapping[str, str]) -> str:
    for place, text in places.items():
        word = word.replace(f"{{{place}}}", text)
    return word


class Latest:
    """The latest of what a thread reads; what is not taken in time is replaced.

    Args:
        standings: What to read.
    """

    def __init__(self, standings: Iterator[Standing]) -> None:
        self._standings = standings
        self._changed = threading.Condition()
        self._latest: Standing | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True, name="watch")
        self._thread.start()

    def take(self) -> Standing:
        """The latest that was not taken yet; waits for it.

        Raises:
            BaseException: Whatever reading ended with.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._latest or self._error)
            standing, self._latest = self._latest, None
            if standing is not None:
                return standing
            raise self._error or StopIteration

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until there is something to take; whether there is."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._latest or self._error, seconds))

    def _read(self) -> None:
        error: BaseException = EOFError("the watch has ended")
        try:
            for standing in self._standings:
                with self._changed:
                    self._latest = standing
                    self._changed.notify_all()
        except BaseException as caught:  # noqa: BLE001 - raised where it is taken
            error = caught
        with self._changed:
            self._error = error
            self._changed.notify_all()


def run_for_each(
    command: VersionCommand,
    standings: Iterator[Standing],
    tell: Callable[[Standing], None],
    *,
    once: bool,
) -> int:
    """Run a command for each version, for ever.

    Args:
        command: The command.
        standings: The versions.
        tell: Told of each version before the command runs.
        once: End with the first version for which the command was run, whether or not it
            succeeded.

    Returns:
        The command's exit code, when it is to run once.
    """
    latest = Latest(standings)
    while True:
        standing = latest.take()
        tell(standing)
        if not standing.version:
            continue
        code = command.run(standing)
        if once:
            return code
        pause_s = _FIRST_PAUSE_S
        while code != 0:
            version = short_version(standing.version)
            output.note(
                f"The command for {version} ended with exit code {code}; it is run again in "
                f"{pause_s:g} s."
            )
            if latest.wait(pause_s):
                break
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            code = command.run(standing)
