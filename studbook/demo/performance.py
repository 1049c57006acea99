"""One performance of the demo, from the first line to the last; nothing is left running."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from studbook.demo.stack_process import StackFailedError, StackProcess
from studbook.demo.stage import Stage, SurpriseError
from studbook.demo.story import Story
from studbook.exceptions import StudbookError

# What the extras `server` and `demo` install, and the demo cannot do without.
_NEEDED = ("sqlalchemy", "starlette", "uvicorn", "yaml", "sklearn", "joblib", "matplotlib")

_INTRODUCTION = """
Studbook keeps the life of every model: how it was trained, who let it into Production, and what
was there when. This demo plays such a life from beginning to end. Everything you see is real: three
server processes on this machine, tokens, permissions, files and digests; each line after a $ is a
command that you could type yourself.
"""
_CLOSING = """
Three runs, two versions, one refusal, two promotions and a rollback; each with who, when, why and
from what. Start the servers for yourself with `studbook up`, look into examples/ for the programs
that ran here, and into docs/ for the rest.
"""


def perform(*, keep: bool = False) -> int:
    """Play the demo.

    Args:
        keep: Do not remove the temporary folder.

    Returns:
        The exit code: 0 when everything came out as it should.
    """
    _check_installation()
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="studbook-demo-"))
    try:
        _play(folder)
    except (SurpriseError, StackFailedError) as surprise:
        sys.stderr.write(f"\nThe demo did not go as it should: {surprise}\n")
        return 1
    finally:
        if keep:
            sys.stderr.write(f"\nData and logs are kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"\nDone in {time.monotonic() - began:.0f} s; nothing is left running.\n")
    return 0


def _play(folder: Path) -> None:
    stack = StackProcess(folder)
    with stack:
        at = stack.addresses
        stage = Stage(at.gateway, folder)
        stage.say(_INTRODUCTION)
        stage.show(
            (
                "",
                f"gateway   {at.gateway}   the only address that clients know",
                f"tracking  {at.tracking}   runs, metrics, data, files",
                f"registry  {at.registry}   models, versions, stages, ledger",
                f"login     {at.people_issuer}   development issuer",
                f"data      {stack.data}",
            )
        )
        try:
            Story(stage, stack).play()
        except SurpriseError as surprise:
            message = f"{surprise}\n\n{stack.log_tails()}"
            raise SurpriseError(message) from surprise
        stage.step("What happened", _CLOSING)


def _check_installation() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        message = f"The demo needs more than is installed here (missing: {', '.join(missing)})."
        raise StudbookError(message, next_step="Install it: pip install 'studbook[server,demo]'")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    # As for Ctrl-C: everything is stopped and removed on the way out.
    raise KeyboardInterrupt
