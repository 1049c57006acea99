"""ModelService: versions of models."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from registry_service import registration
from registry_service.names import VersionName, parse_version_name
from registry_service.parent_reading import read_parents
from registry_service.proto_conversion import to_version
from registry_service.version_numbers import BEFORE_ALL, Part, parse_number
from service_chassis.caller import current_caller
from service_chassis.errors import invalid_field, not_found
from service_chassis.field_masks import changed_paths
from service_chassis.listing import PageRequest
from service_chassis.resource_names import MODEL, RUN
from service_chassis.validation import (
    LONGEST_DESCRIPTION,
    check_artifact_path,
    check_count,
    check_tags,
    check_text,
)
from studbook.registry.v1 import model_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grpc.aio import ServicerContext

    from registry_service.records import Version
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.version_registration import Registrar
    from service_chassis.page_tokens import PageTokens

CHANGEABLE = frozenset({"description", "tags"})
_NEVER = "what a version consists of never changes; register another"
CHANGED_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "stage": "a stage is changed by PromotionService.TransitionStage",
        "aliases": "an alias is moved by AliasService.SetAlias",
        **dict.fromkeys(("version", "source_run", "files", "digest"), _NEVER),
    }
)
_PARTS: Mapping[int, Part] = MappingProxyType(
    {
        messages.VERSION_BUMP_PATCH: Part.PATCH,
        messages.VERSION_BUMP_MINOR: Part.MINOR,
        messages.VERSION_BUMP_MAJOR: Part.MAJOR,
    }
)
MOST_ARTIFACT_PATHS = 1000


class VersionMethods:
    """The methods of ModelService that are about versions."""

    def __init__(
        self, database: RegistryDatabase, registrar: Registrar, tokens: PageTokens
    ) -> None:
        self._database = database
        self._registrar = registrar
        self._tokens = tokens

    async def CreateVersion(
        self,
        request: messages.CreateVersionRequest,
        _context: ServicerContext[messages.CreateVersionRequest, messages.CreateVersionResponse],
    ) -> messages.CreateVersionResponse:
        """Register a version from files of a run."""
        wanted = _read_registration(request)
        caller = current_caller()
        caller.require("runs.read", wanted.source_run)
        for parent in wanted.parents:
            if parent.version:
                caller.require("models.read", parent.version)
        return await self._registrar.register(caller, request, wanted)

    async def GetVersion(
        self,
        request: messages.GetVersionRequest,
        _context: ServicerContext[messages.GetVersionRequest, messages.GetVersionResponse],
    ) -> messages.GetVersionResponse:
        """Read one version."""
        name = str(parse_version_name(request.name))
        version = await self._database.read(lambda store: store.versions.find(name), brief=True)
        if version is None:
            raise not_found(name)
        return messages.GetVersionResponse(version=to_version(version))

    async def ListVersions(
        self,
        request: messages.ListVersionsRequest,
        _context: ServicerContext[messages.ListVersionsRequest, messages.ListVersionsResponse],
    ) -> messages.ListVersionsResponse:
        """List the versions of a model."""
        MODEL.parse(request.parent, "parent")
        page = PageRequest.read(request, default_order="version desc", tokens=self._tokens)

        def work(store: RegistryStore) -> tuple[list[Version], str]:
            uid = store.models.uid(request.parent)
            if uid is None:
                raise not_found(request.parent)
            return store.versions.page(uid, page)

        versions, token = await self._database.read(work)
        return messages.ListVersionsResponse(
            versions=map(to_version, versions), next_page_token=token
        )

    async def UpdateVersion(
        self,
        request: messages.UpdateVersionRequest,
        _context: ServicerContext[messages.UpdateVersionRequest, messages.UpdateVersionResponse],
    ) -> messages.UpdateVersionResponse:
        """Change description and tags."""
        wanted = request.version
        name = parse_version_name(wanted.name, "version.name")
        paths = changed_paths(request.update_mask, wanted, CHANGEABLE, CHANGED_ELSEWHERE)
        description = check_text(wanted.description, "version.description", LONGEST_DESCRIPTION)
        tags = check_tags(wanted.tags, "version.tags")
        caller = current_caller()

        def work(store: RegistryStore) -> messages.UpdateVersionResponse:
            version = registration.update_version(
                store,
                caller,
                name,
                wanted.etag,
                description=description if "description" in paths else None,
                tags=tags if "tags" in paths else None,
                validate_only=request.validate_only,
            )
            return messages.UpdateVersionResponse(version=to_version(version))

        return await self._database.write_once(
            caller, request, messages.UpdateVersionResponse, work
        )

    async def DeleteVersion(
        self,
        request: messages.DeleteVersionRequest,
        _context: ServicerContext[messages.DeleteVersionRequest, messages.DeleteVersionResponse],
    ) -> messages.DeleteVersionResponse:
        """Delete a version that never was in Production."""
        name = parse_version_name(request.name)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.DeleteVersionResponse:
            registration.delete_version(
                store, caller, name, request.etag, validate_only=request.validate_only
            )
            return messages.DeleteVersionResponse()

        return await self._database.write_once(
            caller, request, messages.DeleteVersionResponse, work
        )


def _read_bump(request: messages.CreateVersionRequest) -> Part | None:
    if request.bump == messages.VERSION_BUMP_UNSPECIFIED:
        return None
    if request.version_id:
        raise invalid_field("version_id", request.version_id, "leave it out, or leave out bump")
    part = _PARTS.get(request.bump)
    if part is None:
        raise invalid_field("bump", request.bump, "give PATCH, MINOR or MAJOR")
    return part


def _read_registration(request: messages.CreateVersionRequest) -> registration.Registration:
    workspace = MODEL.parse(request.parent, "parent")["workspace"]
    bump = _read_bump(request)
    number = BEFORE_ALL
    if bump is None:
        number = parse_number(request.version_id, "version_id", leading_v=True)
    if RUN.parse(request.source_run, "source_run")["workspace"] != workspace:
        raise invalid_field(
            "source_run", request.source_run, f"it must be a run of workspaces/{workspace}"
        )
    check_count(request.artifact_paths, "artifact_paths", MOST_ARTIFACT_PATHS, least=1)
    return registration.Registration(
        name=VersionName(request.parent, number),
        bump=bump,
        source_run=request.source_run,
        artifact_paths=tuple(
            check_artifact_path(path.removesuffix("/"), f"artifact_paths[{index}]")
            for index, path in enumerate(request.artifact_paths)
        ),
        description=check_text(
            request.version.description, "version.description", LONGEST_DESCRIPTION
        ),
        tags=check_tags(request.version.tags, "version.tags"),
        parents=read_parents(request.parents),
    )
