"""List calls behind `studbook model` and `studbook audit`; the rest is in `model_registry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studbook.cli.paging import collect
from studbook.model_reference import parse_reference
from studbook.registry.v1.alias_service_pb2 import ListAliasesRequest
from studbook.registry.v1.lineage_service_pb2 import ListLedgerEntriesRequest
from studbook.registry.v1.model_service_pb2 import (
    GetModelRequest,
    ListModelsRequest,
    ListVersionsRequest,
)
from studbook.registry.v1.promotion_service_pb2 import ListTransitionsRequest
from studbook.registry.v1.serving_service_pb2 import ListLoadedRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from studbook.client import Client
    from studbook.registry.v1.alias_pb2 import Alias
    from studbook.registry.v1.ledger_pb2 import LedgerEntry
    from studbook.registry.v1.loaded_pb2 import LoadedVersion
    from studbook.registry.v1.model_pb2 import Model
    from studbook.registry.v1.promotion_service_pb2 import Transition
    from studbook.registry.v1.version_pb2 import Version

# So many versions are listed below a model, the highest numbers first.
_VERSIONS_SHOWN = 100
# And so many instances, those that reported last.
_INSTANCES_SHOWN = 1000


def list_models(client: Client, filter_text: str, order_by: str, limit: int) -> list[Model]:
    """As many of the models that match as there are, up to the limit."""
    request = ListModelsRequest(parent=client.workspace, filter=filter_text, order_by=order_by)
    return collect(client.models.ListModels, request, lambda page: page.models, limit)


def read_model(client: Client, model: str) -> tuple[Model, list[Version]]:
    """A model and its versions, the highest number first."""
    found = client.models.GetModel(GetModelRequest(name=model)).model
    request = ListVersionsRequest(parent=model)
    versions = collect(
        client.models.ListVersions, request, lambda page: page.versions, _VERSIONS_SHOWN
    )
    return found, versions


def list_loaded(client: Client, model: str) -> list[LoadedVersion]:
    """The last report of each instance, the latest first."""
    request = ListLoadedRequest(parent=model)
    return collect(client.serving.ListLoaded, request, lambda page: page.loaded, _INSTANCES_SHOWN)


def list_aliases(
    client: Client,
    name: str,
    filter_text: str,
    limit: int,
    *,
    at: datetime | None,
    show_past: bool,
) -> list[Alias]:
    """Aliases of a model, up to the limit."""
    model = parse_reference(name).model_name(client.workspace)
    request = ListAliasesRequest(parent=model, filter=filter_text, show_past=show_past)
    if at is not None:
        request.at.FromDatetime(at)
    return collect(client.aliases.ListAliases, request, lambda page: page.aliases, limit)


def list_transitions(client: Client, model: str, filter_text: str, limit: int) -> list[Transition]:
    """Changes of stage of a model, newest first, up to the limit."""
    request = ListTransitionsRequest(parent=model, filter=filter_text)
    return collect(client.promotions.ListTransitions, request, lambda page: page.transitions, limit)


def list_ledger(
    client: Client, parent: str, filter_text: str, order_by: str, limit: int
) -> list[LedgerEntry]:
    """Entries of the ledger, up to the limit."""
    request = ListLedgerEntriesRequest(parent=parent, filter=filter_text, order_by=order_by)
    return collect(client.lineage.ListLedgerEntries, request, lambda page: page.entries, limit)


def read_tags(texts: Sequence[str]) -> dict[str, str]:
    """Tags from `key=value` as typed."""
    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f'"{text}" is not a tag; write it KEY=VALUE.')
        tags[key] = value
    return tags
