"""WebhookService: setting up where changes are told by HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.watch_interest import READ
from registry_service.webhook_conversion import (
    read_settings,
    to_attempt,
    to_delivery,
    to_settings_message,
    to_webhook,
)
from registry_service.webhooks import (
    check_new,
    create_webhook,
    delete_webhook,
    rotate_secret,
    update_webhook,
)
from service_chassis.caller import current_caller
from service_chassis.errors import failed_precondition, invalid_field, not_found
from service_chassis.field_masks import changed_paths
from service_chassis.listing import PageRequest
from service_chassis.resource_names import WEBHOOK, WORKSPACE, check_id
from studbook.registry.v1 import webhook_pb2
from studbook.registry.v1 import webhook_service_pb2 as messages
from studbook.registry.v1.webhook_service_pb2_grpc import WebhookServiceServicer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grpc.aio import ServicerContext

    from registry_service.public_addresses import Network
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from registry_service.webhook_courier import Office
    from registry_service.webhook_delivery import WebhookDelivery
    from registry_service.webhook_records import Webhook, WebhookSettings
    from service_chassis.caller import Caller
    from service_chassis.page_tokens import PageTokens

CHANGEABLE = frozenset({"url", "models", "events", "description", "state"})
_DAY_S = 24 * 3600
_LONGEST_OVERLAP_S = 30 * _DAY_S
_READ_HOOK = "webhooks.read"


@dataclass(frozen=True)
class Delivering:
    """What sends to webhooks, where the service has been given a key."""

    office: Office
    delivery: WebhookDelivery


class WebhookService(WebhookServiceServicer):
    """Sets up webhooks.

    Args:
        database: The registry's database.
        tokens: Seals page tokens.
        delivering: What sends to them; None where the service has no key to sign with.
        allowed: Networks that may be called although they are not public.
        most: Most webhooks of one workspace.
    """

    def __init__(
        self,
        database: RegistryDatabase,
        tokens: PageTokens,
        delivering: Delivering | None,
        allowed: Sequence[Network],
        most: int,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._optional_delivering = delivering
        self._allowed = allowed
        self._most = most

    @property
    def _delivering(self) -> Delivering:
        if self._optional_delivering is None:
            raise failed_precondition(
                "WEBHOOKS_NOT_SET_UP",
                "webhooks",
                "The server has no key to sign deliveries with; its administrator can set "
                "STUDBOOK_REGISTRY_WEBHOOK_KEY_FILE.",
            )
        return self._optional_delivering

    async def CreateWebhook(
        self,
        request: messages.CreateWebhookRequest,
        _context: ServicerContext[messages.CreateWebhookRequest, messages.CreateWebhookResponse],
    ) -> messages.CreateWebhookResponse:
        """Add a webhook."""
        workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
        name = WEBHOOK.format(
            workspace=workspace, webhook=check_id(request.webhook_id, "webhook_id")
        )
        settings = read_settings(request.webhook, self._allowed)
        caller = current_caller()
        caller.refuse_denied("webhooks.write", name)
        _require_models(caller, workspace, settings)
        delivering = self._delivering
        if request.validate_only:
            await self._database.read(lambda store: check_new(store, name, self._most))
            return messages.CreateWebhookResponse(webhook=webhook_pb2.Webhook(name=name))
        made = await self._database.write(
            lambda store: create_webhook(store, caller, name, settings, self._most)
        )
        delivering.delivery.look()
        secret = delivering.office.secrets.secret(made.uid, made.secrets[-1].number)
        return messages.CreateWebhookResponse(webhook=to_webhook(made), secret=secret)

    async def GetWebhook(
        self,
        request: messages.GetWebhookRequest,
        _context: ServicerContext[messages.GetWebhookRequest, messages.GetWebhookResponse],
    ) -> messages.GetWebhookResponse:
        """Read a webhook."""
        return messages.GetWebhookResponse(webhook=to_webhook(await self._find(request.name)))

    async def ListWebhooks(
        self,
        request: messages.ListWebhooksRequest,
        _context: ServicerContext[messages.ListWebhooksRequest, messages.ListWebhooksResponse],
    ) -> messages.ListWebhooksResponse:
        """List the webhooks that the caller may see."""
        workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
        page = PageRequest.read(request, default_order="name", tokens=self._tokens)
        caller = current_caller()
        found, token = await self._database.read(
            lambda store: store.webhooks.page(
                workspace, page, lambda name: caller.may(_READ_HOOK, name)
            )
        )
        return messages.ListWebhooksResponse(webhooks=map(to_webhook, found), next_page_token=token)

    async def UpdateWebhook(
        self,
        request: messages.UpdateWebhookRequest,
        _context: ServicerContext[messages.UpdateWebhookRequest, messages.UpdateWebhookResponse],
    ) -> messages.UpdateWebhookResponse:
        """Change a webhook."""
        name = request.webhook.name
        workspace = WEBHOOK.parse(name, "webhook.name")["workspace"]
        paths = changed_paths(request.update_mask, request.webhook, CHANGEABLE)
        caller = current_caller()

        def work(store: RegistryStore) -> Webhook:
            present = store.webhooks.find(name)
            if present is None:
                raise not_found(name)
            settings = self._merged(present, request.webhook, paths)
            if settings.models != present.settings.models or settings.url != present.settings.url:
                _require_models(caller, workspace, settings)
            return update_webhook(
                store,
                caller,
                name,
                request.webhook.etag,
                settings,
                skip_to_present=request.skip_to_present,
                validate_only=request.validate_only,
            )

        changed = await self._database.write(work)
        self._look()
        return messages.UpdateWebhookResponse(webhook=to_webhook(changed))

    async def DeleteWebhook(
        self,
        request: messages.DeleteWebhookRequest,
        _context: ServicerContext[messages.DeleteWebhookRequest, messages.DeleteWebhookResponse],
    ) -> messages.DeleteWebhookResponse:
        """Delete a webhook."""
        WEBHOOK.parse(request.name)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.DeleteWebhookResponse:
            delete_webhook(store, caller, request.name, request.etag)
            return messages.DeleteWebhookResponse()

        done = await self._database.write_once(
            caller, request, messages.DeleteWebhookResponse, work
        )
        self._look()
        return done

    async def RotateWebhookSecret(
        self,
        request: messages.RotateWebhookSecretRequest,
        _context: ServicerContext[
            messages.RotateWebhookSecretRequest, messages.RotateWebhookSecretResponse
        ],
    ) -> messages.RotateWebhookSecretResponse:
        """Give a webhook a new secret."""
        WEBHOOK.parse(request.name)
        overlap_us = _overlap_us(request)
        secrets = self._delivering.office.secrets
        caller = current_caller()
        webhook = await self._database.write(
            lambda store: rotate_secret(store, caller, request.name, request.etag, overlap_us)
        )
        self._look()
        secret = secrets.secret(webhook.uid, webhook.secrets[-1].number)
        return messages.RotateWebhookSecretResponse(webhook=to_webhook(webhook), secret=secret)

    async def TestWebhook(
        self,
        request: messages.TestWebhookRequest,
        _context: ServicerContext[messages.TestWebhookRequest, messages.TestWebhookResponse],
    ) -> messages.TestWebhookResponse:
        """Send a test event."""
        webhook = await self._find(request.name)
        attempt = await self._delivering.office.post_trial(webhook)
        return messages.TestWebhookResponse(
            attempt=to_attempt(attempt), delivered=attempt.delivered
        )

    async def ListDeliveries(
        self,
        request: messages.ListDeliveriesRequest,
        _context: ServicerContext[messages.ListDeliveriesRequest, messages.ListDeliveriesResponse],
    ) -> messages.ListDeliveriesResponse:
        """List the latest deliveries of a webhook."""
        page = PageRequest.read(request, default_order="ledger_position desc", tokens=self._tokens)
        webhook = await self._find(request.parent, "parent")
        found, token = await self._database.read(
            lambda store: store.webhooks.deliveries(webhook.uid, page)
        )
        return messages.ListDeliveriesResponse(
            deliveries=map(to_delivery, found), next_page_token=token
        )

    async def _find(self, name: str, field: str = "name") -> Webhook:
        WEBHOOK.parse(name, field)
        webhook = await self._database.read(lambda store: store.webhooks.find(name))
        if webhook is None:
            raise not_found(name)
        return webhook

    def _look(self) -> None:
        if self._optional_delivering is not None:
            self._optional_delivering.delivery.look()

    def _merged(
        self, present: Webhook, given: webhook_pb2.Webhook, paths: set[str]
    ) -> WebhookSettings:
        message = to_settings_message(present)
        for path in paths:
            message.ClearField(path)  # type: ignore[arg-type] # any of CHANGEABLE
            if path == "events":
                message.events.extend(given.events)
            else:
                setattr(message, path, getattr(given, path))
        return read_settings(message, self._allowed)


def _require_models(caller: Caller, workspace: str, settings: WebhookSettings) -> None:
    """Events tell of models, so whoever has them sent must be allowed to read these."""
    models = f"workspaces/{workspace}/models/{settings.models or '*'}"
    if not caller.may_on_all(READ, models):
        raise caller.refusal(READ, models)


def _overlap_us(request: messages.RotateWebhookSecretRequest) -> int:
    if not request.HasField("overlap"):
        return _DAY_S * 1_000_000
    overlap = request.overlap
    seconds = overlap.seconds + overlap.nanos / 1e9
    if not 0 <= seconds <= _LONGEST_OVERLAP_S:
        raise invalid_field("overlap", f"{seconds:g} s", "give 0 to 30 days")
    return int(seconds * 1_000_000)
