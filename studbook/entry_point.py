"""What was started: a script, a module, a notebook, or a line of code."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def program() -> Path | None:
    """The file that was started; None when it is none, such as in a notebook."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if not main:
        return None
    path = Path(main)
    return path.resolve() if path.exists() else None


def entry_point(top: Path | None) -> str:
    """What was started, in words that start it again.

    Args:
        top: Top folder of the repository; None when there is none.

    Returns:
        Path of the script, relative to the repository if it lies there and else its name alone;
        `-m` and the name of a module; path or name of a notebook; `-c` for code on the command
        line; empty when nothing was, such as at the prompt.
    """
    if module := _module():
        return f"-m {module}"
    path = program()
    if path is None:
        return _notebook() or ("-c" if "-c" in sys.orig_argv[1:] else "")
    if top is not None and path.is_relative_to(top.resolve()):
        return path.relative_to(top.resolve()).as_posix()
    return path.name


def _module() -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    # A folder or archive that is started is the module `__main__` of no package.
    name = getattr(spec, "name", None) or ""
    return "" if name == "__main__" else name.removesuffix(".__main__")


def _notebook() -> str:
    if "ipykernel" not in sys.modules:
        return ""
    # Set by the editor and by the notebook server, each in its way.
    found = vars(sys.modules["__main__"]).get("__vsc_ipynb_file__")
    path = found or os.environ.get("JPY_SESSION_NAME") or "notebook"
    return Path(path).name if Path(path).is_absolute() else str(path)
