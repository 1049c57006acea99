"""Calls behind `studbook policy`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from studbook.cli.paging import collect
from studbook.cli.policy_file import located, read_policy
from studbook.exceptions import InvalidArgument
from studbook.registry.v1 import policy_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from studbook.client import Client
    from studbook.registry.v1.policy_pb2 import PromotionPolicy


def set_policies(
    client: Client, files: Sequence[Path], *, validate_only: bool
) -> list[PromotionPolicy]:
    """Put policies in force; all files are read, and judged by the server, before any is."""
    wanted = [read_policy(file, client.workspace) for file in files]
    checked = [_check(client, file, policy) for file, policy in zip(files, wanted, strict=True)]
    if validate_only:
        return checked
    return [_set(client, policy, validate_only=False) for policy in wanted]


def get_policy(client: Client, name: str, revision: int) -> PromotionPolicy:
    """A policy, or one of its revisions."""
    request = messages.GetPromotionPolicyRequest(name=policy_name(client, name), revision=revision)
    return client.policies.GetPromotionPolicy(request).policy


def list_policies(client: Client, limit: int) -> list[PromotionPolicy]:
    """The policies in force, up to a limit."""
    request = messages.ListPromotionPoliciesRequest(parent=client.workspace)
    return collect(
        client.policies.ListPromotionPolicies, request, lambda page: page.policies, limit
    )


def list_revisions(client: Client, name: str, limit: int) -> list[PromotionPolicy]:
    """The revisions of a policy, the latest first, up to a limit."""
    request = messages.ListPromotionPolicyRevisionsRequest(name=policy_name(client, name))
    return collect(
        client.policies.ListPromotionPolicyRevisions, request, lambda page: page.policies, limit
    )


def delete_policy(client: Client, name: str) -> None:
    """Put a policy out of force."""
    request = messages.DeletePromotionPolicyRequest(
        name=policy_name(client, name), request_id=str(uuid.uuid4())
    )
    client.policies.DeletePromotionPolicy(request)


def policy_name(client: Client, name: str) -> str:
    """Resource name of a policy as typed."""
    return name if name.startswith("workspaces/") else f"{client.workspace}/policies/{name}"


def _check(client: Client, file: Path, policy: PromotionPolicy) -> PromotionPolicy:
    try:
        return _set(client, policy, validate_only=True)
    except InvalidArgument as error:
        raise located(file, error) from error


def _set(client: Client, policy: PromotionPolicy, *, validate_only: bool) -> PromotionPolicy:
    request = messages.SetPromotionPolicyRequest(
        policy=policy,
        validate_only=validate_only,
        request_id="" if validate_only else str(uuid.uuid4()),
    )
    return client.policies.SetPromotionPolicy(request).policy
