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
        help="wine-cultivar@1.2.0 by number, @production by stage, @champion by alias, '@~1.2' by "
        "range.",
        show_default=False,
    ),
]

# So many of the versions that came of one are shown; ListDerivedVersions has all of them.
_DESCENDANTS_SHOWN = 100


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

    With --at, the version that stood in the stage, or that the alias named, at that moment
    (Production when none is named). A model is shown with what instances have loaded of it.
    """
    from studbook import model_registry
    from studbook.cli import model_tables, output
    from studbook.cli.references import moment, names_version

    if not names_version(name) and not at:
        _show_whole_model(name, as_json=as_json)
        return
    answer = model_registry.resolve(name, at=moment(at) if at else None)
    if as_json:
        output.print_json(answer)
    else:
        model_tables.print_resolved(answer, at)


def _show_whole_model(name: str, *, as_json: bool) -> None:
    from studbook.cli import model_calls, model_tables, output
    from studbook.client import Client
    from studbook.model_reference import parse_reference

    with Client() as client:
        model_name = parse_reference(name).model_name(client.workspace)
        model, versions = model_calls.read_model(client, model_name)
        loaded = model_calls.list_loaded(client, model_name)
    if as_json:
        listed = [output.json_value(version) for version in versions]
        reports = [output.json_value(report) for report in loaded]
        output.print_json(
            {"model": output.json_value(model), "versions": listed, "loaded": reports}
        )
    else:
        model_tables.print_model(model, versions, loaded)


def show_history(
    name: ModelArgument,
    *,
    filter_text: Filter = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List every change of stage, newest first."""
    from studbook.cli import model_calls, model_tables, output
    from studbook.client import Client
    from studbook.model_reference import parse_reference

    with Client() as client:
        model = parse_reference(name).model_name(client.workspace)
        transitions = model_calls.list_transitions(client, model, filter_text, limit)
    if as_json:
        output.print_json(transitions)
    else:
        model_tables.print_history(transitions)


def show_lineage(name: SelectorArgument, *, at: At = "", as_json: AsJson = False) -> None:
    """Explain how a version came to be, and what came of it.

    Its run, parameters, data, code, environment and parents, who let it through when, and the
    versions that began from it.
    """
    from studbook import model_registry
    from studbook.cli import derivation_calls, lineage_page, output
    from studbook.cli.references import moment
    from studbook.client import Client

    with Client() as client:
        if at:
            name = model_registry.resolve(name, at=moment(at), client=client).version.name
        answer = model_registry.lineage(name, client=client)
        origin = derivation_calls.version_origin(answer.version.name)
        derived = derivation_calls.list_derived(client, origin, _DESCENDANTS_SHOWN)
    if as_json:
        listed = [output.json_value(one) for one in derived]
        output.print_json({**output.json_value(answer), "derivedVersions": listed})
    else:
        lineage_page.print_lineage(answer, derived)
