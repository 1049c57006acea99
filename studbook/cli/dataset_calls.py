"""Calls that find datasets for the commands under `studbook dataset`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer

from studbook.cli.paging import collect
from studbook.exceptions import NotFound
from studbook.tracking.v1.dataset_service_pb2 import (
    GetDatasetRequest,
    ListDatasetRunsRequest,
    ListDatasetsRequest,
)

if TYPE_CHECKING:
    from studbook.client import Client
    from studbook.tracking.v1.dataset_pb2 import Dataset
    from studbook.tracking.v1.dataset_service_pb2 import DatasetUse

_ID = re.compile(r"-|[a-z0-9][a-z0-9._-]{0,127}")
_MOST_USES = 20


def dataset_name(text: str, workspace: str) -> str:
    """Resource name of the dataset that was typed; `-` stands for all of the workspace."""
    if text.startswith("workspaces/"):
        return text
    if not _ID.fullmatch(text):
        message = (
            f'"{text}" is not the name of a dataset: 1 to 128 of a-z 0-9 - _ . '
            "beginning with a letter or digit."
        )
        raise typer.BadParameter(message)
    return f"{workspace}/datasets/{text}"


def list_datasets(client: Client, request: ListDatasetsRequest, limit: int) -> list[Dataset]:
    """As many of the versions that match as there are, up to the limit."""
    return collect(client.datasets.ListDatasets, request, lambda page: page.datasets, limit)


def find_dataset(client: Client, text: str) -> Dataset:
    """The version `NAME@VERSION`, or the newest one of `NAME`, with its profiles.

    Raises:
        NotFound: There is none.
    """
    if "/versions/" in text:
        return client.datasets.GetDataset(GetDatasetRequest(name=text)).dataset
    typed, at, version = text.partition("@")
    name = dataset_name(typed, client.workspace)
    if not at:
        version = _newest(client, name)
    elif not _ID.fullmatch(version):
        raise typer.BadParameter(f'"{version}" is not a version; write NAME@VERSION.')
    return client.datasets.GetDataset(GetDatasetRequest(name=f"{name}/versions/{version}")).dataset


def _newest(client: Client, name: str) -> str:
    newest = list_datasets(client, ListDatasetsRequest(parent=name), limit=1)
    if not newest:
        raise NotFound(
            f"There is no version of {name} that you may see.",
            reason="NOT_FOUND",
            metadata={"resource": name},
            next_step="`studbook dataset ls` lists those there are.",
        )
    return newest[0].name.rpartition("/")[2]


def list_uses(client: Client, name: str) -> list[DatasetUse]:
    """The newest runs that used a dataset version."""
    request = ListDatasetRunsRequest(name=name)
    return collect(client.datasets.ListDatasetRuns, request, lambda page: page.uses, _MOST_USES)


def short_dataset(name: str) -> str:
    """`NAME@VERSION` for the resource name of a dataset version."""
    parts = name.split("/")
    return f"{parts[3]}@{parts[5]}" if len(parts) == 6 else name
