"""`studbook model watch`: be told of changes as they happen."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson

WatchedArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@SELECTOR]",
        help="wine-cultivar@production by stage, @champion by alias; wine-cultivar alone, or a "
        "pattern such as 'wine-*', for every change.",
        show_default=False,
    ),
]


def watch_models(
    name: WatchedArgument,
    *,
    command: Annotated[
        str,
        typer.Option(
            "--exec",
            metavar="COMMAND",
            help="Run this for each version that NAME@SELECTOR comes to stand for; {version}, "
            "{number}, {model}, {name} and {digest} are filled in.",
        ),
    ] = "",
    once: Annotated[
        bool,
        typer.Option("--once", help="End after the first; with --exec, as the command ended."),
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Leave out what stands there now; wait for a change.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a name stands for, and each change of it.

    Goes on until Ctrl-C. Of a whole model or a pattern of models every change is told. When the
    server is away it is asked again until it answers, and nothing is missed in between. A --exec
    command that fails is run again after 1 s, 2 s and so on up to a minute, until it succeeds or
    another version has come.
    """
    from studbook.cli import watch_lines
    from studbook.cli.version_command import VersionCommand, run_for_each

    if "@" not in name:
        if command:
            message = "--exec is for one name, such as wine-cultivar@production."
            raise typer.BadParameter(message)
        watch_lines.print_changes(name, once=once, new=new, as_json=as_json)
        return
    runner = VersionCommand.parse(command) if command else None
    standings = watch_lines.standings(name, new=new)
    if runner is not None:
        code = run_for_each(
            runner,
            standings,
            lambda standing: watch_lines.tell(standing, as_json=as_json),
            once=once,
        )
        raise typer.Exit(code)
    for standing in standings:
        watch_lines.tell(standing, as_json=as_json)
        if once and standing.version:
            return
