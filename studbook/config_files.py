"""Where the user's configuration is, and how its files are changed."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def config_folder() -> Path:
    """Where the user's configuration is: STUDBOOK_CONFIG_DIR, else the platform's place for it.

    The home folder of a user who has none, as in many containers, is the root.
    """
    if explicit := os.environ.get("STUDBOOK_CONFIG_DIR"):
        return Path(explicit)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home())) / "studbook"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "studbook"


def replace_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; others see it as it was or as it is then."""
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(6)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other threads and processes of this user from changing a file meanwhile."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # Released when the descriptor is closed, also by a crash.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
