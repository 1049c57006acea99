"""The file that logins are kept in: one for each server, readable by its owner only.

Where there is a system keyring the file is sealed with a key in it; see `keyring_seal`.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from studbook import config_files
from studbook.exceptions import StudbookError
from studbook.keyring_seal import KeyringSeal
from studbook.profiles import Profiles

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from studbook.profiles import Profile


# Tokens are renewed this long before they expire, longer than a call and clock differences take;
# those that live for minutes only, when a quarter of that is left.
_RENEW_BEFORE_S = 60.0


@dataclass(frozen=True)
class Login:
    """A login at one server.

    Attributes:
        access_token: What calls carry; an ID token where the server takes those.
        expires_at: When it expires, in seconds since the epoch; None when it does not say.
        refresh_token: Gets the next access token; empty when there is none.
        issuer: The login provider.
        client_id: As which client the person logged in.
        client_secret: What goes with it at providers that want one of programs like this.
        secret_in_body: Whether the provider wants it in the request's body.
        token_endpoint: Where the provider gives tokens.
        revocation_endpoint: Where it takes them back; empty when it does not.
        audience: Whom tokens are for.
        audience_parameter: In which parameter the provider is told so; empty when it is not.
        id_tokens: Whether calls carry ID tokens.
        id_token: Tells the provider at a logout whose session is meant; nothing else is done with
            it.
        end_session_endpoint: Where the provider ends a session in a browser; empty when it does
            not, or when there is none.
        in_browser: Whether that session is in a browser of this machine.
        obtained_at: When the token was obtained, in seconds since the epoch.
    """

    # Never part of a traceback or log line.
    access_token: str = field(repr=False)
    expires_at: float | None = None
    refresh_token: str = field(default="", repr=False)
    issuer: str = ""
    client_id: str = ""
    token_endpoint: str = ""
    revocation_endpoint: str = ""
    audience: str = ""
    audience_parameter: str = "resource"
    id_tokens: bool = False
    id_token: str = field(default="", repr=False)
    end_session_endpoint: str = ""
    in_browser: bool = False
    obtained_at: float | None = None
    client_secret: str = field(default="", repr=False)
    secret_in_body: bool = False

    def is_due(self, *, lasting: bool = False) -> bool:
        """Whether the token should be renewed before the next call.

        Args:
            lasting: For a call that takes long: already when half of the token's life is over.
        """
        if self.expires_at is None:
            return False
        left = self.expires_at - time.time()
        if self.obtained_at is None:
            return left < _RENEW_BEFORE_S
        life = self.expires_at - self.obtained_at
        return left < (life / 2 if lasting else min(_RENEW_BEFORE_S, life / 4))

    def is_expired(self) -> bool:
        """Whether the token is of no use any more."""
        return self.expires_at is not None and time.time() > self.expires_at


class StoredLogins:
    """The logins of this user, by address of the server and by profile.

    Args:
        folder: Where the file is; default `config_files.config_folder()`.
        profile: Under which profile; default: the one that is active now.
    """

    def __init__(self, folder: Path | None = None, profile: Profile | None = None) -> None:
        self.path = (folder or config_files.config_folder()) / "logins.json"
        self._profile = profile or Profiles(folder).active()
        self._seal = KeyringSeal()
        self._mark: tuple[int, int, int] | None = None
        self._content: dict[str, dict[str, Any]] = {}

    def find(self, address: str) -> Login | None:
        """The login at a server, if there is one.

        Raises:
            StudbookError: The file cannot be read.
        """
        entry = self._read().get(self._name(address))
        if entry is None:
            return None
        known = {item.name for item in fields(Login)}
        return Login(**{name: value for name, value in entry.items() if name in known})

    def save(self, address: str, login: Login) -> None:
        """Keep a login. Hold the lock while doing so."""
        self._write({**self._read(), self._name(address): asdict(login)})

    def remove(self, address: str) -> None:
        """Forget the login at a server. Hold the lock while doing so."""
        rest = self._read()
        if rest.pop(self._name(address), None) is not None:
            self._write(rest)

    def _name(self, address: str) -> str:
        """What a login is kept under: one of a profile is for the profile's server only."""
        profile = self._profile
        if profile is None or profile.address != address:
            return address
        return f"{profile.name}@{address}"

    def kept(self) -> str:
        """Where and how what was saved last is kept, in words."""
        if self._seal.keyring:
            return f"{self.path}, sealed with a key in the system keyring ({self._seal.keyring})"
        return f"{self.path}, which only you can read"

    def _read(self) -> dict[str, dict[str, Any]]:
        """What the file holds. It is looked at before each call, and read when it has changed."""
        try:
            status = self.path.stat()
            mark = (status.st_ino, status.st_mtime_ns, status.st_size)
            if mark != self._mark:
                self._content = self._parsed()
                self._mark = mark
            return dict(self._content)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{self.path} cannot be read: {error}."
            raise StudbookError(
                message, next_step="Remove the file and log in again with `studbook login`."
            ) from error

    def _parsed(self) -> dict[str, dict[str, Any]]:
        content = json.loads(self.path.read_text(encoding="utf-8"))
        if "sealed" in content:
            content = json.loads(self._seal.unseal(content["sealed"]))
        return dict(content["logins"])

    def _write(self, logins: dict[str, dict[str, Any]]) -> None:
        content = {"version": 1, "logins": logins}
        sealed = self._seal.seal(json.dumps(content).encode())
        if sealed is not None:
            content = {"version": 1, "sealed": sealed}
        config_files.replace_private(self.path, json.dumps(content, indent=2))

    def locked(self) -> AbstractContextManager[None]:
        """Keep other threads and processes of this user from changing the file meanwhile."""
        return config_files.locked(self.path)
