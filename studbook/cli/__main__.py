"""`studbook`: finds the command's module, runs it, and turns errors into words and an exit code.

The list of commands stands here, so that `studbook --help` answers without importing any of them,
and `studbook run ls` imports nothing that belongs to `model`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from studbook._version import __version__
from studbook.exceptions import StudbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Module below studbook.cli and one line of help, by command, in the order of the help text. A
# module holds a Typer application called `app`, or a function with the command's name.
COMMANDS = {
    "login": ("login", "Log in at the server's login provider."),
    "logout": ("login", "Forget the login, here and at the login provider."),
    "profiles": ("profiles", "Name servers, and go from one to another."),
    "whoami": ("whoami", "Show who you are to the server, and what you may do by which rule."),
    "token": ("login", "Print a token of your login, for programs that call the stubs."),
    "run": ("run", "Find, read, compare and follow training runs, and fetch their files."),
    "dataset": ("dataset", "Find and read datasets, and compute digests."),
    "model": ("model", "Register, promote, roll back and explain models."),
    "policy": ("policy", "Set and read what must hold before a version enters Production."),
    "pull": ("pull", "Fetch a version's files, verified."),
    "verify": ("verify", "Verify files against a certificate or signature, without a server."),
    "webhook": ("webhook", "Set up where changes are told by HTTP."),
    "sync": ("sync", "Send what offline or killed runs have left on this machine."),
    "audit": ("audit", "Read and verify the registry's ledger."),
    "access": ("access", "Ask who may do what, and by which rule; check access files."),
    "up": ("up", "Start Studbook on this machine, and keep it running."),
    "demo": ("demo", "Play the whole life of a model, step by step."),
}
_USAGE = 2
_INTERRUPTED = 130


def help_text() -> str:
    """What `studbook --help` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = "\n".join(f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items())
    return f"""Usage: studbook COMMAND [ARGS]...

Experiment tracking and a model registry with a gate to Production.

Commands:
{lines}

Options:
  --version   Print the version.
  --help      Print this text; `studbook COMMAND --help` tells more.

Environment:
  STUDBOOK_ADDRESS    The server, host:port (default 127.0.0.1:7420).
  STUDBOOK_PROFILE    A name for a server, where STUDBOOK_ADDRESS is not set.
  STUDBOOK_WORKSPACE  The workspace (default main).
  STUDBOOK_TOKEN      A token to use instead of a login, e.g. in a CI job.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 refused by a gate,
6 verification failed.
"""


def _unknown(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f" Did you mean `studbook {close[0]}`?" if close else ""
    return f"There is no command `{name}`.{hint} `studbook --help` lists them.\n"


def _command(name: str) -> Any:
    """The command as Typer runs it."""
    from importlib import import_module

    import typer

    module = import_module(f"studbook.cli.{COMMANDS[name][0]}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(name)(getattr(module, name))
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit code.
    """
    name = arguments[0] if arguments else "--help"
    if name in {"--help", "-h", "help"}:
        sys.stdout.write(help_text())
        return 0 if arguments else _USAGE
    if name == "--version":
        sys.stdout.write(f"studbook {__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(_unknown(name))
        return _USAGE
    return _run_command(name, list(arguments[1:]))


def _run_command(name: str, arguments: list[str]) -> int:
    try:
        _command(name).main(arguments, prog_name=f"studbook {name}")
    except SystemExit as end:
        # Typer ends this way whatever happened; wrong usage is printed by then.
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except StudbookError as error:
        sys.stderr.write(in_words(error))
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        # Of this machine's files: a disk that is full, a folder that may not be written to.
        sys.stderr.write(f"Error: {_of_system(error)}.\n")
        return 1
    return 0


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    said = f"{where}{error.strerror or error}"
    # A name may have come from elsewhere, and must not drive the terminal.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in said)


def in_words(error: StudbookError) -> str:
    """What a person reads of an error: what was wrong, its reason code, what to do about it."""
    reason = f" [{error.reason}]" if error.reason else ""
    next_step = f"{error.next_step}\n" if error.next_step else ""
    return f"Error: {error.message}{reason}\n{next_step}"


def main() -> NoReturn:
    """Entry point of the `studbook` script."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more at exit.
        sys.stderr.close()
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
