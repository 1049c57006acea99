"""The folder that holds everything a local stack keeps."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

from gateway.dev_issuer.password_hash import hash_secret
from local_stack import demo_identities, keys
from local_stack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from local_stack.ports import Ports

    Moves = list[tuple[str, str]]


class FolderInUseError(RuntimeError):
    """Another stack runs on the same folder."""


def default_folder() -> Path:
    """Where `studbook up` keeps its data unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "studbook"


class DataFolder:
    """The folder of one stack: prepared on first use, kept on later starts, used by one at a time.

    Used as a context manager, it is locked against a second stack.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def keys(self) -> Path:
        """Private keys."""
        return self.path / "keys"

    @property
    def logs(self) -> Path:
        """What the processes log."""
        return self.path / "logs"

    @property
    def access_file(self) -> Path:
        """Who may do what; yours to edit."""
        return self.path / "access.yaml"

    @property
    def dev_issuer(self) -> Path:
        """The development issuer's configuration; yours to edit."""
        return self.path / "dev-issuer.yaml"

    def secret_file(self, client: str) -> Path:
        """The secret of a client of the development issuer."""
        return self.path / "secrets" / client

    def __enter__(self) -> Self:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            message = f"Another Studbook is running on {self.path}; stop it, or choose --data."
            raise FolderInUseError(message) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def prepare(self, ports: Ports) -> None:
        """Make whatever is missing, and let the issuers' URLs follow the ports."""
        for folder in (self.keys, self.logs, self.path / "secrets", self.path / "artifacts"):
            folder.mkdir(mode=0o700, exist_ok=True)
        keys.ensure_service_keys(self.keys)
        keys.ensure_people_key(self.keys / "issuer-people.pem")
        keys.ensure_ci_key(self.keys / "issuer-ci.pem")
        bases = {
            "issuer_base": f"http://{HOST}:{ports.issuer}",
            "web_base": f"http://{HOST}:{ports.web}",
        }
        moves = [(before, bases[name]) for name, before in self._recorded_bases().items()]
        self._write_issuer_config(bases, moves)
        self._write_access_file(bases["issuer_base"], moves)
        keys.write_private(self._record, json.dumps(bases).encode())

    @property
    def _record(self) -> Path:
        return self.path / "stack.json"

    def _recorded_bases(self) -> dict[str, str]:
        """The bases of the issuers' and the pages' URLs at the last start."""
        if not self._record.exists():
            return {}
        recorded: dict[str, str] = json.loads(self._record.read_text())
        return recorded

    def _write_issuer_config(self, bases: Mapping[str, str], moves: Moves) -> None:
        service = keys.ensure_secret(self.secret_file(demo_identities.SERVICE_CLIENT))
        ci = keys.ensure_secret(self.secret_file(demo_identities.CI_CLIENT))
        if self.dev_issuer.exists():
            _move(self.dev_issuer, moves)
            return
        config = demo_identities.dev_issuer_config(
            bases["issuer_base"], bases["web_base"], hash_secret(service), hash_secret(ci)
        )
        text = "# The development issuer: for trying Studbook on one machine only.\n"
        text += yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        keys.write_private(self.dev_issuer, text.encode())

    def _write_access_file(self, base: str, moves: Moves) -> None:
        if self.access_file.exists():
            _move(self.access_file, moves)
            return
        text = demo_identities.access_file(f"{base}/people", f"{base}/ci")
        keys.write_private(self.access_file, text.encode())


def _move(path: Path, moves: Moves) -> None:
    """Replace the base URLs and leave the rest, which people may have edited, alone."""
    text = old = path.read_text(encoding="utf-8")
    # In two steps, as one part can move to where another one was.
    for number, (before, _) in enumerate(moves):
        text = text.replace(f"{before}/", f"\N{OBJECT REPLACEMENT CHARACTER}{number}/")
    for number, (_, after) in enumerate(moves):
        text = text.replace(f"\N{OBJECT REPLACEMENT CHARACTER}{number}/", f"{after}/")
    if text != old:
        keys.write_private(path, text.encode())
