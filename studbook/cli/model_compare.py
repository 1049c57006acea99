"""The commands under `studbook model` that say whether it is the data or the model."""

from pathlib import Path
from typing import Annotated

import typer

from studbook.cli.model_read import SelectorArgument
from studbook.cli.options import AsJson

AllColumns = Annotated[
    bool, typer.Option("--all", help="Also print the columns of the data that are steady.")
]


def compare_versions(
    first: SelectorArgument,
    second: SelectorArgument,
    *,
    everything: AllColumns = False,
    as_json: AsJson = False,
) -> None:
    """Say what changed between two versions.

    Such as wine@production and wine@previous. Data, code, parameters, environment, metrics and
    files: the same or not, with evidence, and one verdict.
    """
    from studbook.cli import comparison_page, output
    from studbook.model_comparison import compare_versions as compare

    answer = compare(first, second, all_columns=everything)
    if as_json:
        output.print_json(answer)
    else:
        comparison_page.print_versions(answer, first, second)


def check_inputs(
    name: SelectorArgument,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Recent inputs: .csv or .parquet, or what to_bytes() gave."
        ),
    ],
    *,
    role: Annotated[
        str, typer.Option("--role", help="Compare with the datasets of this role.")
    ] = "training",
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="Leave a column out; may be repeated."),
    ] = None,
    everything: AllColumns = False,
    as_json: AsJson = False,
) -> None:
    """Say whether inputs look like what a version learned from.

    Exit code 0 when they do, 6 when columns drifted, 1 when that cannot be said.
    """
    from studbook.cli import comparison_page, output
    from studbook.cli.input_files import read_inputs
    from studbook.exceptions import VerificationFailed
    from studbook.model_comparison import check_inputs as check
    from studbook.registry.v1 import comparison_pb2

    inputs = read_inputs(file)
    answer = check(name, inputs, role=role, ignore=ignore or (), all_columns=everything)
    if as_json:
        output.print_json(answer)
    else:
        comparison_page.print_inputs(answer)
    if answer.verdict == comparison_pb2.INPUT_VERDICT_INPUT_DRIFTED:
        raise typer.Exit(VerificationFailed.exit_code)
    if answer.verdict != comparison_pb2.INPUT_VERDICT_INPUT_AS_TRAINED:
        raise typer.Exit(1)
