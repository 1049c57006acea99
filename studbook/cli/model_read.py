"""The commands under `studbook model` that only read."""

from typing import Annotated

import typer

from studbook.cli.options import AsJson, At, Filter, Limit, NamesOnly, OrderBy

ModelArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Model, e.g. wine-cultivar.", show_default=False)
]
SelectorArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@SELECTOR]",
        help="wine-cultivar@1.2.0 by number, wine-cultivar@production by stage.",
        show_default=False,
    ),
]


def list_models(
    *,
    filter_text: Filter = "",
    order_by: OrderBy = "",
    limit: Limit = 50,
    names_only: NamesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List the models of the workspace."""
    from studbook.cli import model_calls, model_tables, output
    from studbook.cli.references import last_segment
    from studbook.client import Client

    with Client() as client:
        models = model_calls.list_models(client, filter_text, order_by, limit)
    if as_json:
        output.print_json(models)
    elif names_only:
        output.print_lines(last_segment(model.name) for model in models)
    else:
        model_tables.print_models(models)


def show_model(name: SelectorArgument, *, at: At = "", as_json: AsJson = False) -> None:
    """Show a model with its versions, or one version.

    With --at, the version that stood in the stage at that moment (Production when none is named).
    """
    from studbook.cli import model_calls, model_tables, output
    from studbook.cli.references import version_reference
    from studbook.client import Client

    with Client() as client:
        reference = version_reference(name, client.workspace)
        if not reference.number and not reference.stage and not at:
            model, versions = model_calls.read_model(client, reference.model)
            if as_json:
                output.print_json(
                    {
                        "model": output.json_value(model),
                        "versions": [output.json_value(version) for version in versions],
                    }
                )
            else:
                model_tables.print_model(model, versions)
            return
        answer = model_calls.resolve(client, reference, at)
    if as_json:
        output.print_json(answer)
    else:
        model_tables.print_resolved(answer, at)


def show_history(
    name: ModelArgument,
    *,
    filter_text: Filter = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List every change of stage of a model's versions, newest first."""
    from studbook.cli import model_calls, model_tables, output
    from studbook.cli.references import model_name
    from studbook.client import Client

    with Client() as client:
        model = model_name(name, client.workspace)
        transitions = model_calls.list_transitions(client, model, filter_text, limit)
    if as_json:
        output.print_json(transitions)
    else:
        model_tables.print_history(transitions)


def show_lineage(name: SelectorArgument, *, at: At = "", as_json: AsJson = False) -> None:
    """Explain a version: its run, parameters, data, code, environment, and who let it through."""
    from studbook.cli import lineage_page, model_calls, output
    from studbook.cli.references import version_reference
    from studbook.client import Client
    from studbook.registry.v1.lineage_service_pb2 import GetLineageRequest

    with Client() as client:
        reference = version_reference(name, client.workspace)
        version = model_calls.version_name(client, reference, at)
        answer = client.lineage.GetLineage(GetLineageRequest(name=version))
    if as_json:
        output.print_json(answer)
    else:
        lineage_page.print_lineage(answer)
