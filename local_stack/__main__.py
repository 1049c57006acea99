"""`python -m local_stack`: start everything and stay up until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn

from local_stack.child import ChildError
from local_stack.data_folder import FolderInUseError, default_folder
from local_stack.greeting import greeting
from local_stack.keys import write_private
from local_stack.ports import PortInUseError, Ports
from local_stack.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise ValueError(text)
    return port


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="studbook up",
        description="Start Studbook on this machine, with demo identities and all data in one "
        "folder, and keep it running until Ctrl-C.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=default_folder(),
        metavar="DIR",
        help="where everything is kept (default: %(default)s)",
    )
    parser.add_argument(
        "--port-base",
        type=_port,
        default=Ports().gateway,
        metavar="PORT",
        help="first of five ports in a row; 0: any free ports (default: %(default)s)",
    )
    for name in asdict(Ports()):
        parser.add_argument(
            f"--{name}-port", type=_port, metavar="PORT", help=f"port of the {name}"
        )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="write the addresses here, as JSON, while everything serves",
    )
    return parser.parse_args(arguments)


def _ports(options: argparse.Namespace) -> Ports:
    base = asdict(Ports.from_base(options.port_base))
    own = {name: getattr(options, f"{name}_port") for name in base}
    return Ports(**{name: base[name] if own[name] is None else own[name] for name in base})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _ready_file(path: Path | None, stack: LocalStack) -> Iterator[None]:
    if path is None:
        yield
        return
    path = path.absolute()
    content = {"pid": os.getpid(), "data": str(stack.folder.path), **asdict(stack.addresses)}
    write_private(path, json.dumps(content).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    # The first signal stops everything, which takes some seconds; further ones change nothing.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack; returns the exit code."""
    options = _arguments(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    ready = False
    try:
        _say(f"Starting Studbook; its data is in {options.data.absolute()}")
        with (
            LocalStack(options.data, _ports(options), say=_say) as stack,
            _ready_file(options.ready_file, stack),
        ):
            print(greeting(stack), flush=True)
            ready = True
            Event().wait()
    except KeyboardInterrupt:
        _say("Stopped; the data is kept." if ready else "Interrupted before everything was up.")
    except (ChildError, FolderInUseError, PortInUseError, OSError) as error:
        _say(str(error))
        return 1
    return 0 if ready else 130


if __name__ == "__main__":
    sys.exit(main())
