"""Is it the data or the model? What changed between versions, and what changed at the inputs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from studbook.client import Client
from studbook.model_reference import Reference, parse_reference
from studbook.model_registry import resolve
from studbook.registry.v1 import comparison_pb2, comparison_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from studbook.input_profile import InputProfile

__all__ = ["check_inputs", "compare_versions"]


def compare_versions(
    first: str | Reference,
    second: str | Reference,
    *,
    all_columns: bool = False,
    client: Client | None = None,
) -> comparison_service_pb2.CompareVersionsResponse:
    """Compare two versions: data, code, parameters, environment, metrics and files.

    Args:
        first: `NAME` (Production) or `NAME@SELECTOR`, e.g. `wine@production`.
        second: The other, e.g. `wine@previous`.
        all_columns: Also columns of the data that are steady.
        client: Connection.

    Raises:
        NotFound: When there is nothing that a reference stands for.
    """
    with _connection(client) as connection:
        request = comparison_service_pb2.CompareVersionsRequest(
            first=_version(first, connection),
            second=_version(second, connection),
            all_columns=all_columns,
        )
        return connection.comparisons.CompareVersions(request)


def check_inputs(
    reference: str | Reference,
    inputs: InputProfile | comparison_pb2.InputProfile,
    *,
    role: str = "training",
    ignore: Sequence[str] = (),
    all_columns: bool = False,
    client: Client | None = None,
) -> comparison_service_pb2.CompareInputsResponse:
    """Compare recent inputs with the data that a version was trained on.

    Args:
        reference: `NAME` (Production) or `NAME@SELECTOR`.
        inputs: What `studbook.profile_inputs` made of them.
        role: Role of the dataset that they are compared with.
        ignore: Names of columns that are left out, such as times, which always move on.
        all_columns: Also columns that are steady.
        client: Connection.

    Raises:
        NotFound: When there is nothing that the reference stands for.
    """
    profile = inputs if isinstance(inputs, comparison_pb2.InputProfile) else inputs.message()
    with _connection(client) as connection:
        request = comparison_service_pb2.CompareInputsRequest(
            version=_version(reference, connection),
            inputs=profile,
            role=role,
            ignored_columns=ignore,
            all_columns=all_columns,
        )
        return connection.comparisons.CompareInputs(request)


def _version(reference: str | Reference, client: Client) -> str:
    wanted = parse_reference(reference) if isinstance(reference, str) else reference
    if wanted.version:
        return f"{wanted.model_name(client.workspace)}/versions/{wanted.version}"
    return resolve(wanted, client=client).version.name


def _connection(client: Client | None) -> AbstractContextManager[Client]:
    return nullcontext(client) if client is not None else Client()
