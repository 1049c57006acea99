"""`studbook demo`: the whole life of a model, played on this machine."""

from typing import Annotated

import typer


def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with data and logs at the end.")
    ] = False,
) -> None:
    """Play the whole life of a model, step by step, and leave nothing running.

    Starts the servers on free ports with their data in a temporary folder, then trains, compares,
    registers, is refused, promotes, serves, explains and rolls back with the real programs.
    """
    from studbook.demo.performance import perform

    raise typer.Exit(perform(keep=keep))
