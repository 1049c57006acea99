"""Names for servers, so that one can go from one to another, and be two people at the same.

Which server is meant: the one that a call names; STUDBOOK_ADDRESS; that of the profile which
STUDBOOK_PROFILE names; that of the profile in use; this machine. A login belongs to one server, and
to the profile under which it was made: none is ever used for another.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studbook import config_files
from studbook.address import parse_address
from studbook.exceptions import InvalidArgument, StudbookError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VARIABLE = "STUDBOOK_PROFILE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Profile:
    """A name for a server.

    Attributes:
        name: The name.
        address: The server, as `host:port`.
    """

    name: str
    address: str


class Profiles:
    """The profiles of this user.

    Args:
        folder: Where the file is; default `config_files.config_folder()`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or config_files.config_folder()) / "profiles.json"

    def all(self) -> list[Profile]:
        """All of them, by name."""
        return [Profile(*entry) for entry in sorted(self._read()["profiles"].items())]

    def named(self, name: str) -> Profile:
        """The profile with a name.

        Raises:
            InvalidArgument: There is none.
        """
        known = {profile.name: profile for profile in self.all()}
        if name not in known:
            listed = ", ".join(known) or "none yet"
            raise InvalidArgument(
                f"There is no profile {name}; there are: {listed}.",
                reason="FIELD_INVALID",
                next_step=f"Make it with `studbook login --profile {name} --server HOST:PORT`.",
            )
        return known[name]

    def active(self) -> Profile | None:
        """The profile that STUDBOOK_PROFILE names, else the one in use.

        Raises:
            InvalidArgument: STUDBOOK_PROFILE names none that there is.
        """
        name = os.environ.get(_VARIABLE) or self._read()["in_use"]
        return self.named(name) if name else None

    def for_login(self, name: str, server: str) -> Profile:
        """The profile to log in under: one that there is, or a new one for a server.

        Raises:
            InvalidArgument: There is none and no server is named, or it is for another server.
        """
        if not _NAME.fullmatch(name):
            message = f"{name} is no name for a profile; use letters, digits, - _ and ."
            raise InvalidArgument(message, reason="FIELD_INVALID")
        if not server:
            return self.named(name)
        address = str(parse_address(server))
        before = self._read()["profiles"].get(name, address)
        if before != address:
            raise InvalidArgument(
                f"The profile {name} is for {before}, not {address}.",
                reason="FIELD_INVALID",
                next_step=f"Choose another name, or remove it with `studbook profiles rm {name}`.",
            )
        return Profile(name, address)

    def use(self, profile: Profile) -> None:
        """Use a profile from now on; a new one is kept."""

        def change(content: dict[str, Any]) -> None:
            content["profiles"][profile.name] = profile.address
            content["in_use"] = profile.name

        self._change(change)

    def remove(self, profile: Profile) -> None:
        """Forget a profile; if it was in use, none is any more."""

        def change(content: dict[str, Any]) -> None:
            content["profiles"].pop(profile.name, None)
            if content["in_use"] == profile.name:
                content["in_use"] = ""

        self._change(change)

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        with config_files.locked(self.path):
            content = self._read()
            change(content)
            config_files.replace_private(self.path, json.dumps({"version": 1, **content}, indent=2))

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {"profiles": dict(content["profiles"]), "in_use": str(content["in_use"])}
        except FileNotFoundError:
            return {"profiles": {}, "in_use": ""}
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{self.path} cannot be read: {error}."
            raise StudbookError(
                message, next_step="Remove the file and make the profiles again."
            ) from error
