"""Seals what is kept of logins with a key that the system keyring keeps.

Only the key is in the keyring: some keyrings hold no more than about a kilobyte in an entry, and
tokens are longer. And a file can be replaced as a whole, as it has to be when a refresh token is
exchanged for the next.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument, StudbookError
from studbook.fork_gate import importing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from keyring.backend import KeyringBackend

_SETTING = "STUDBOOK_KEYRING"
_SERVICE, _ENTRY = "studbook", "key of the stored logins"
_PURPOSE = b"studbook logins 1"
_KEY_BITS, _NONCE_BYTES = 256, 12
# These keep nothing, or keep it for everybody to read.
_NO_KEYRINGS = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")
# These ask for a password in a window when they are locked, and wait for it.
_DESKTOP_KEYRINGS = tuple(
    f"keyring.backends.{name}" for name in ("SecretService", "libsecret", "kwallet")
)
# What backends themselves call one that is fit for passwords.
_LEAST_PRIORITY = 1


class KeyringSeal:
    """Seals and unseals, and asks the keyring for the key once.

    Attributes:
        keyring: Name of the keyring that was used last; empty when none was.
    """

    def __init__(self) -> None:
        self.keyring = ""
        self._key: bytes | None = None

    def seal(self, content: bytes) -> str | None:
        """The content, sealed; None when there is no keyring to be used.

        Raises:
            InvalidArgument: STUDBOOK_KEYRING is none of auto, on and off.
            StudbookError: It is on, and no keyring can be used.
        """
        setting = _setting()
        # What was sealed stays sealed, also where a keyring would not be looked for.
        if setting == "off" or self._key is None:
            self._key, self.keyring = None, ""
            self._look_for_key(setting)
        if self._key is None:
            return None
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _cipher(self._key).encrypt(nonce, content, _PURPOSE)
        return base64.b64encode(nonce + sealed).decode()

    def _look_for_key(self, setting: str) -> None:
        try:
            keyring = _keyring_for(setting)
            if keyring is not None:
                self._key, self.keyring = _key_in(keyring) or _new_key_in(keyring), keyring.name
        except Exception as error:
            # Backends raise errors of all kinds.
            if setting == "on":
                message = f"{_SETTING} is on, but no system keyring can be used: {error}."
                raise StudbookError(
                    message,
                    next_step="Install studbook[keyring] and unlock the keyring, or set it to off.",
                ) from error

    def unseal(self, sealed: str) -> bytes:
        """What was sealed.

        Raises:
            ValueError: The keyring does not give the key to it.
        """
        with importing():
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - for sealed files only

        if self._key is None:
            self._key, self.keyring = _kept_key()
        data = base64.b64decode(sealed)
        try:
            return _cipher(self._key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _PURPOSE)
        except InvalidTag:
            self._key = None
            message = "it is sealed with another key than the system keyring has"
            raise ValueError(message) from None


def system_keyring() -> KeyringBackend | None:
    """The keyring of this machine; None when there is none, or none that keeps secrets."""
    try:
        with importing():
            import keyring  # noqa: PLC0415 - an optional library, and a slow one
            from keyring.backends.chainer import ChainerBackend  # noqa: PLC0415
    except ImportError:
        return None
    with importing():  # the keyrings that there may be
        chosen = keyring.get_keyring()
    candidates = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    return next(filter(_keeps_secrets, candidates), None)


def _keeps_secrets(backend: KeyringBackend) -> bool:
    return not _is_of(backend, _NO_KEYRINGS) and float(backend.priority) >= _LEAST_PRIORITY


def _is_of(backend: KeyringBackend, modules: tuple[str, ...]) -> bool:
    module = type(backend).__module__
    return any(module == name or module.startswith(f"{name}.") for name in modules)


def _keyring_for(setting: str) -> KeyringBackend | None:
    if setting == "off":
        return None
    keyring = system_keyring()
    if keyring is None and setting == "on":
        message = "there is none"
        raise LookupError(message)
    if keyring is not None and setting == "auto" and _would_wait_for_ever(keyring):
        return None
    return keyring


def _would_wait_for_ever(keyring: KeyringBackend) -> bool:
    """Whether the keyring, if it is locked, asks in a window that nobody sees."""
    desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return not desktop and _is_of(keyring, _DESKTOP_KEYRINGS)


def _setting() -> str:
    setting = os.environ.get(_SETTING) or "auto"
    if setting not in {"auto", "on", "off"}:
        message = f"{_SETTING} is {setting}; it can be auto, on or off."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return setting


def _kept_key() -> tuple[bytes, str]:
    """The key in the keyring, and the keyring's name."""
    try:
        keyring = system_keyring()
        key = _key_in(keyring) if keyring is not None else None
    except Exception as error:
        # Backends raise errors of all kinds.
        message = f"the system keyring does not give the key to it: {error}"
        raise ValueError(message) from error
    if keyring is None or key is None:
        message = "it is sealed with a key that no system keyring here has"
        raise ValueError(message)
    return key, keyring.name


def _key_in(keyring: KeyringBackend) -> bytes | None:
    text = keyring.get_password(_SERVICE, _ENTRY)
    return base64.b64decode(text) if text else None


def _new_key_in(keyring: KeyringBackend) -> bytes:
    with importing():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

    key = AESGCM.generate_key(_KEY_BITS)
    keyring.set_password(_SERVICE, _ENTRY, base64.b64encode(key).decode())
    return key


def _cipher(key: bytes) -> AESGCM:
    with importing():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

    return AESGCM(key)
