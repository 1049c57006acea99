"""Sealing what others keep for us, so that they can neither read nor change it.

Fernet is authenticated encryption with the time of sealing inside; several keys make it possible to
change them without a pause.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# More than any cookie or row of ours; looked at before anything is computed.
_LONGEST = 64 * 1024
_PURPOSE = "for"


def read_keys(path: Path) -> list[str]:
    """The keys in a file, one a line, the one that seals first.

    Raises:
        SystemExit: It cannot be read, holds none, or one that is not a key.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="ascii").splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        for key in keys:
            Fernet(key)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be used: {error} Make a key with python -m local_stack.keys."
        raise SystemExit(message) from None
    if not keys:
        message = f"{path} holds no key. Make one with python -m local_stack.keys."
        raise SystemExit(message)
    return keys


class Sealer:
    """Seals and opens.

    Args:
        keys: Base64url of 32 random bytes each. The first one seals, each of them opens.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, purpose: str, content: Mapping[str, Any]) -> str:
        """The content as text that only `open` with the same purpose reads."""
        return self._fernet.encrypt(json.dumps({**content, _PURPOSE: purpose}).encode()).decode()

    def open(self, purpose: str, sealed: str, longest_s: float) -> dict[str, Any] | None:
        """The content; None when it was not sealed here, for something else, or too long ago.

        Args:
            purpose: What it must have been sealed for, so that one thing cannot pass for another.
            sealed: The text.
            longest_s: For how many seconds it is good.
        """
        if len(sealed) > _LONGEST or not sealed.isascii():
            return None
        try:
            content = json.loads(self._fernet.decrypt(sealed, ttl=max(1, int(longest_s))))
        except InvalidToken:
            return None
        return content if content.pop(_PURPOSE, None) == purpose else None
