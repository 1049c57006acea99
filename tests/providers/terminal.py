"""Somebody at a terminal: the real command, with a place of its own for logins."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studbook.client import Client
from studbook.login_tokens import StoredLogin
from studbook.stored_logins import Login, StoredLogins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_COMMAND = [sys.executable, "-m", "studbook.cli"]
_ANSWER_S = 120


@dataclass(frozen=True)
class Terminal:
    """A user's account on a machine.

    Attributes:
        address: The server.
        provider: Name of the login provider.
        folder: Where logins are kept.
        variables: Further environment variables.
    """

    address: str
    provider: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        others = {k: v for k, v in os.environ.items() if not k.startswith("STUDBOOK_")}
        return {
            **others,
            "STUDBOOK_ADDRESS": self.address,
            "STUDBOOK_WORKSPACE": "main",
            "STUDBOOK_LOGIN_PROVIDER": self.provider,
            "STUDBOOK_CONFIG_DIR": str(self.folder),
            # A browser that does nothing: the test opens what the command prints.
            "BROWSER": "true",
            **self.variables,
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints, all of it, when it ends with this exit code."""
        done = subprocess.run(
            [*_COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def asking(self, *arguments: str) -> Iterator[str]:
        """Run a command that prints an address to open; it has to succeed once that was done."""
        with subprocess.Popen(
            [*_COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stderr is not None
                printed = ""
                while not (url := address_in(printed)):
                    line = process.stderr.readline()
                    assert line, f"no address: {printed}"
                    printed += line
                yield url
                _, rest = process.communicate(timeout=_ANSWER_S)
                assert process.returncode == 0, printed + rest
            finally:
                process.kill()

    @property
    def logins(self) -> StoredLogins:
        return StoredLogins(self.folder)

    @property
    def login(self) -> Login:
        """The login that is kept."""
        login = self.logins.find(self.address)
        assert login is not None
        return login

    def keep(self, login: Login) -> None:
        with self.logins.locked():
            self.logins.save(self.address, login)

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the SDK with the login that is kept."""
        source = StoredLogin(self.address, self.logins)
        with Client(self.address, workspace="main", token_source=source) as client:
            yield client


def address_in(printed: str) -> str:
    """The address that stands on a line of its own, for people to open; empty without one."""
    found = re.search(r"^(https?://\S+)$", printed, re.MULTILINE)
    return found[1] if found else ""
