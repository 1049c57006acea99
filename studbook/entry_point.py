"""What was started: a script, a module, a notebook, or a line of code."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EntryPoint:
    """What was started.

    Attributes:
        path: The file; None when it was none, such as in a notebook.
        words: What else it was: `-m` and the name of a module, path or name of a notebook, `-c`
            for code on the command line; empty when it was a file or nothing, as at the prompt.
    """

    path: Path | None = None
    words: str = ""

    def within(self, top: Path | None) -> str:
        """In words that start it again; a file relative to a repository that it lies in.

        Args:
            top: Top folder of the repository; None when there is none.
        """
        if self.words or self.path is None:
            return self.words
        if top is not None and self.path.is_relative_to(top.resolve()):
            return self.path.relative_to(top.resolve()).as_posix()
        return self.path.name


def find_entry_point() -> EntryPoint:
    """What was started. At the end of a program it cannot be found out any more."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(main).resolve() if main and Path(main).exists() else None
    if module := _module():
        return EntryPoint(path, f"-m {module}")
    if path is None:
        return EntryPoint(None, _notebook() or ("-c" if "-c" in sys.orig_argv[1:] else ""))
    return EntryPoint(path)


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
