"""What each RPC needs, read from the compiled contracts."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from studbook.access.v1 import access_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

_CONTRACTS = {
    "identity": ("identity_service",),
    "tracking": (
        "experiment_service",
        "run_service",
        "metric_service",
        "dataset_service",
        "artifact_service",
    ),
    "registry": (
        "model_service",
        "alias_service",
        "policy_service",
        "promotion_service",
        "comparison_service",
        "review_service",
        "serving_service",
        "lineage_service",
        "ledger_service",
        "token_service",
        "watch_service",
        "webhook_service",
    ),
}


@dataclass(frozen=True)
class Method:
    """One RPC: where it lives, how it streams, and what it takes to call it.

    Attributes:
        path: As on the wire, `/studbook.tracking.v1.RunService/GetRun`.
        area: `identity`, `tracking` or `registry`: who answers it.
        rule: Its access rule.
        resource_path: `rule.resource_field`, split.
    """

    path: str
    area: str
    rule: access_pb2.AccessRule
    client_streaming: bool
    server_streaming: bool
    read_only: bool
    resource_path: tuple[str, ...]

    @property
    def permissions(self) -> tuple[str, ...]:
        """The permissions whose grants travel with a call."""
        needed = (self.rule.permission,) if self.rule.permission else ()
        return (*needed, *self.rule.may_also_require)


def file_descriptors() -> Iterator[tuple[str, FileDescriptor]]:
    """The service files of all contracts, with their area."""
    for area, files in _CONTRACTS.items():
        for name in files:
            module = importlib.import_module(f"studbook.{area}.v1.{name}_pb2")
            yield area, module.DESCRIPTOR


def _method(area: str, descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions()
    if not options.HasExtension(access_pb2.requires):
        message = f"{descriptor.full_name} has no access rule; add studbook.access.v1.requires"
        raise ValueError(message)
    rule = options.Extensions[access_pb2.requires]
    return Method(
        path=f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        area=area,
        rule=rule,
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        read_only=options.idempotency_level == options.NO_SIDE_EFFECTS,
        resource_path=tuple(rule.resource_field.split(".")) if rule.resource_field else (),
    )


@lru_cache(maxsize=1)
def method_table() -> Mapping[str, Method]:
    """Every RPC of every contract by its path.

    Raises:
        ValueError: An RPC has no access rule; no server starts then.
    """
    return {
        method.path: method
        for area, file in file_descriptors()
        for service in file.services_by_name.values()
        for method in (_method(area, descriptor) for descriptor in service.methods)
    }


def resource_names(method: Method, message: Any) -> list[str]:
    """The resource names in a request that its access rule speaks of.

    Empty when the field is not set, which callers must treat as a refusal for the first or only
    message of a call.
    """
    value = message
    for part in method.resource_path:
        value = getattr(value, part)
    if isinstance(value, str):
        return [value] if value else []
    return list(value)
