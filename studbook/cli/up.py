"""`studbook up`: everything on this machine."""

from pathlib import Path
from typing import Annotated

import typer

# What only the extra `server` installs, and every start needs.
_SERVER_PARTS = ("sqlalchemy", "starlette", "structlog", "uvicorn", "grpc_health", "yaml")


def up(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where everything is kept (default: ~/.local/share/studbook)."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65_531,
            metavar="PORT",
            help="First of five ports in a row: gateway, login, tracking, registry, pages. "
            "0 takes any free ports.",
        ),
    ] = 7420,
    ready_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the addresses here, as JSON, once all serves."),
    ] = None,
) -> None:
    """Start the three services with demo identities, and keep them running until Ctrl-C.

    All data stays in one folder and is there again at the next start. For trying Studbook and for
    working alone; it listens on this machine only.
    """
    import os
    import sys

    _require_server_parts()
    arguments = ["--port-base", str(port)]
    if data is not None:
        arguments += ["--data", str(data)]
    if ready_file is not None:
        arguments += ["--ready-file", str(ready_file)]
    sys.stdout.flush()
    # Takes this process over: signals and exit code need no passing on. -P keeps whatever lies in
    # the working directory from being imported in place of the services.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "local_stack", *arguments])  # noqa: S606 - our own interpreter and module


def _require_server_parts() -> None:
    from importlib.util import find_spec

    from studbook.exceptions import StudbookError

    missing = [name for name in _SERVER_PARTS if find_spec(name) is None]
    if missing:
        message = f"The server is not installed here (missing: {', '.join(missing)})."
        raise StudbookError(message, next_step="Install it with: pip install 'studbook[server]'")
