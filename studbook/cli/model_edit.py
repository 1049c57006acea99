"""Changing description, tags and protected aliases without losing what others changed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from studbook.client import Client
from studbook.model_reference import parse_reference
from studbook.registry.v1 import model_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.internal.containers import ScalarMap

    from studbook.model_reference import Reference
    from studbook.registry.v1.model_pb2 import Model
    from studbook.registry.v1.version_pb2 import Version


@dataclass(frozen=True)
class Wanted:
    """What is to be changed; what is not named stays."""

    description: str | None
    tags: Mapping[str, str]
    untag: frozenset[str]
    protect: frozenset[str]
    unprotect: frozenset[str]

    @property
    def protection(self) -> bool:
        """Whether protected aliases are to change."""
        return bool(self.protect or self.unprotect)

    def paths(self) -> list[str]:
        """The fields that change."""
        changes = {
            "description": self.description is not None,
            "tags": bool(self.tags or self.untag),
            "protected_aliases": self.protection,
        }
        return [path for path, is_wanted in changes.items() if is_wanted]

    def apply_to_tags(self, tags: ScalarMap[str, str]) -> None:
        """Change tags as wanted."""
        for key in self.untag:
            tags.pop(key, None)
        tags.update(self.tags)


def edit(name: str, wanted: Wanted, *, validate_only: bool) -> Model | Version:
    """Change a model or one of its versions; refused when somebody else does in this moment."""
    if not wanted.paths():
        message = "Say what to change: --description, --tag, --untag, --protect or --unprotect."
        raise typer.BadParameter(message)
    reference = parse_reference(name)
    if "@" not in name and "/versions/" not in name:
        return _edit_model(reference, wanted, validate_only=validate_only)
    if not reference.version:
        raise typer.BadParameter(f'"{name}" names no number; write it NAME@1.2.0.')
    if wanted.protection:
        raise typer.BadParameter("Aliases are protected by the model; leave out the version.")
    return _edit_version(reference, wanted, validate_only=validate_only)


def _edit_model(reference: Reference, wanted: Wanted, *, validate_only: bool) -> Model:
    with Client() as client:
        name = reference.model_name(client.workspace)
        model = client.models.GetModel(messages.GetModelRequest(name=name)).model
        if wanted.description is not None:
            model.description = wanted.description
        wanted.apply_to_tags(model.tags)
        protected = (set(model.protected_aliases) | wanted.protect) - wanted.unprotect
        model.protected_aliases[:] = sorted(protected)
        request = messages.UpdateModelRequest(
            model=model,
            request_id="" if validate_only else str(uuid.uuid4()),
            validate_only=validate_only,
        )
        request.update_mask.paths.extend(wanted.paths())
        return client.models.UpdateModel(request).model


def _edit_version(reference: Reference, wanted: Wanted, *, validate_only: bool) -> Version:
    with Client() as client:
        name = f"{reference.model_name(client.workspace)}/versions/{reference.version}"
        version = client.models.GetVersion(messages.GetVersionRequest(name=name)).version
        if wanted.description is not None:
            version.description = wanted.description
        wanted.apply_to_tags(version.tags)
        request = messages.UpdateVersionRequest(
            version=version,
            request_id="" if validate_only else str(uuid.uuid4()),
            validate_only=validate_only,
        )
        request.update_mask.paths.extend(wanted.paths())
        return client.models.UpdateVersion(request).version
