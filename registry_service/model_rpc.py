"""ModelService: models. Versions are in `version_rpc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service import catalogue
from registry_service.alias_names import check_protected
from registry_service.promotion import PROMOTE
from registry_service.proto_conversion import to_model
from registry_service.version_rpc import VersionMethods
from service_chassis.caller import current_caller
from service_chassis.errors import not_found
from service_chassis.field_masks import changed_paths
from service_chassis.listing import PageRequest
from service_chassis.resource_names import MODEL, WORKSPACE, check_id
from service_chassis.validation import LONGEST_DESCRIPTION, check_tags, check_text
from studbook.registry.v1 import model_pb2
from studbook.registry.v1 import model_service_pb2 as messages
from studbook.registry.v1.model_service_pb2_grpc import ModelServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.version_registration import Registrar
    from service_chassis.page_tokens import PageTokens

CHANGEABLE = frozenset({"description", "tags", "protected_aliases"})


class ModelService(VersionMethods, ModelServiceServicer):
    """Registers models and versions and finds them again.

    Args:
        database: The registry's database.
        registrar: Registers versions.
        tokens: Seals page tokens.
    """

    def __init__(
        self, database: RegistryDatabase, registrar: Registrar, tokens: PageTokens
    ) -> None:
        super().__init__(database, registrar, tokens)

    async def CreateModel(
        self,
        request: messages.CreateModelRequest,
        _context: ServicerContext[messages.CreateModelRequest, messages.CreateModelResponse],
    ) -> messages.CreateModelResponse:
        """Create a model."""
        workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
        name = MODEL.format(workspace=workspace, model=check_id(request.model_id, "model_id"))
        description = check_text(
            request.model.description, "model.description", LONGEST_DESCRIPTION
        )
        tags = check_tags(request.model.tags, "model.tags")
        protected = check_protected(request.model.protected_aliases, "model.protected_aliases")
        caller = current_caller()
        caller.refuse_denied("models.write", name)
        if protected:
            caller.require(PROMOTE, name)
        if request.validate_only:
            await self._database.read(lambda store: catalogue.check_name(store, name))
            preview = model_pb2.Model(
                name=name, description=description, tags=tags, protected_aliases=protected
            )
            return messages.CreateModelResponse(model=preview)

        def work(store: RegistryStore) -> messages.CreateModelResponse:
            model = catalogue.create_model(
                store,
                caller,
                name,
                description=description,
                tags=tags,
                protected_aliases=protected,
            )
            return messages.CreateModelResponse(model=to_model(model))

        return await self._database.write_once(caller, request, messages.CreateModelResponse, work)

    async def GetModel(
        self,
        request: messages.GetModelRequest,
        _context: ServicerContext[messages.GetModelRequest, messages.GetModelResponse],
    ) -> messages.GetModelResponse:
        """Read one model."""
        MODEL.parse(request.name)
        model = await self._database.read(lambda store: store.models.find(request.name), brief=True)
        if model is None:
            raise not_found(request.name)
        return messages.GetModelResponse(model=to_model(model))

    async def ListModels(
        self,
        request: messages.ListModelsRequest,
        _context: ServicerContext[messages.ListModelsRequest, messages.ListModelsResponse],
    ) -> messages.ListModelsResponse:
        """List the models that the caller may see."""
        workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
        page = PageRequest.read(request, default_order="name", tokens=self._tokens)
        caller = current_caller()
        models, token = await self._database.read(
            lambda store: store.models.page(
                workspace, page, lambda name: caller.may("models.read", name)
            )
        )
        return messages.ListModelsResponse(models=map(to_model, models), next_page_token=token)

    async def UpdateModel(
        self,
        request: messages.UpdateModelRequest,
        _context: ServicerContext[messages.UpdateModelRequest, messages.UpdateModelResponse],
    ) -> messages.UpdateModelResponse:
        """Change description and tags."""
        wanted = request.model
        MODEL.parse(wanted.name, "model.name")
        paths = changed_paths(request.update_mask, wanted, CHANGEABLE)
        description = check_text(wanted.description, "model.description", LONGEST_DESCRIPTION)
        tags = check_tags(wanted.tags, "model.tags")
        protected = check_protected(wanted.protected_aliases, "model.protected_aliases")
        caller = current_caller()

        def work(store: RegistryStore) -> messages.UpdateModelResponse:
            model = catalogue.update_model(
                store,
                caller,
                wanted.name,
                wanted.etag,
                description=description if "description" in paths else None,
                tags=tags if "tags" in paths else None,
                protected_aliases=protected if "protected_aliases" in paths else None,
                validate_only=request.validate_only,
            )
            return messages.UpdateModelResponse(model=to_model(model))

        return await self._database.write_once(caller, request, messages.UpdateModelResponse, work)

    async def DeleteModel(
        self,
        request: messages.DeleteModelRequest,
        _context: ServicerContext[messages.DeleteModelRequest, messages.DeleteModelResponse],
    ) -> messages.DeleteModelResponse:
        """Delete a model that has no versions."""
        MODEL.parse(request.name)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.DeleteModelResponse:
            catalogue.delete_model(
                store, caller, request.name, request.etag, validate_only=request.validate_only
            )
            return messages.DeleteModelResponse()

        return await self._database.write_once(caller, request, messages.DeleteModelResponse, work)
