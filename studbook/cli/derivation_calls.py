"""Calls that find what came of a dataset, of a base from elsewhere, or of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studbook.cli.dataset_calls import dataset_name
from studbook.cli.paging import collect
from studbook.registry.v1.lineage_service_pb2 import ListDerivedVersionsRequest

if TYPE_CHECKING:
    from studbook.client import Client
    from studbook.registry.v1.lineage_service_pb2 import DerivedVersion


def dataset_origin(client: Client, text: str) -> ListDerivedVersionsRequest:
    """The question after what came of `NAME@VERSION`, `NAME`, a resource name or a digest."""
    if text.startswith("sha256:"):
        return ListDerivedVersionsRequest(parent=client.workspace, digest=text)
    if text.startswith("workspaces/"):
        return ListDerivedVersionsRequest(parent=_workspace_of(text), dataset=text)
    typed, at, version = text.partition("@")
    if typed == "-" or (at and not version):
        raise typer.BadParameter(f'"{text}" is not a dataset; write NAME or NAME@VERSION.')
    name = dataset_name(typed, client.workspace)
    dataset = f"{name}/versions/{version}" if at else name
    return ListDerivedVersionsRequest(parent=client.workspace, dataset=dataset)


def version_origin(version: str) -> ListDerivedVersionsRequest:
    """The question after what came of a version, given by its resource name."""
    return ListDerivedVersionsRequest(parent=_workspace_of(version), version=version)


def list_derived(
    client: Client, request: ListDerivedVersionsRequest, limit: int, *, production: bool = False
) -> list[DerivedVersion]:
    """As many of the versions as there are, up to the limit, in order of registration.

    Args:
        client: Connection.
        request: What is asked after.
        limit: Most versions to read.
        production: Only what is or ever was in Production.
    """
    if production:
        request.filter = "was_in_production = true"
    return collect(client.lineage.ListDerivedVersions, request, lambda page: page.versions, limit)


def _workspace_of(name: str) -> str:
    return "/".join(name.split("/")[:2])
