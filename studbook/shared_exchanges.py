"""What a CI job's token was exchanged for, for all processes of the job.

A token can be exchanged once, and the commands of a job, or the workers of a training, are several
processes. What one of them got lies in a file that is sealed with a key made of the CI system's
token: it says nothing to whoever comes after the job.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from studbook.config_files import config_folder, locked, replace_private
from studbook.fork_gate import importing
from studbook.stored_logins import Login

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

_PURPOSE = b"studbook exchanged token 1 "
# No exchanged token is good for longer.
_KEPT_S = 86_400.0


class SharedExchange:
    """What one token was exchanged for at one server.

    Where nothing can be written, nothing is shared.

    Args:
        address: The server.
        token: The CI system's token.
        folder: Where such files are; default `exchanged` in `config_files.config_folder()`.
    """

    def __init__(self, address: str, token: str, folder: Path | None = None) -> None:
        self._folder = folder or config_folder() / "exchanged"
        self._key = base64.urlsafe_b64encode(hashlib.sha256(_PURPOSE + token.encode()).digest())
        name = hashlib.sha256(f"{address} {token}".encode()).hexdigest()[:32]
        self.path = self._folder / f"{name}.json"

    def locked(self) -> AbstractContextManager[None]:
        """Keep the job's other processes from exchanging the token meanwhile."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return nullcontext()
        return locked(self.path)

    def find(self) -> Login | None:
        """What the token was exchanged for, if that is known here."""
        with importing():
            from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415 - for CI jobs only

        try:
            content = Fernet(self._key).decrypt(self.path.read_bytes())
        except (OSError, InvalidToken):
            return None
        return Login(**json.loads(content))

    def keep(self, login: Login) -> None:
        """Let the other processes know. Hold the lock while doing so."""
        with importing():
            from cryptography.fernet import Fernet  # noqa: PLC0415 - as above

        sealed = Fernet(self._key).encrypt(json.dumps(asdict(login)).encode()).decode()
        with suppress(OSError):
            self._remove_old()
            replace_private(self.path, sealed)

    def _remove_old(self) -> None:
        for path in self._folder.iterdir():
            if path.stat().st_mtime < time.time() - _KEPT_S:
                path.unlink(missing_ok=True)
