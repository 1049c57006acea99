"""The registry service put together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from registry_service.alias_rpc import AliasService
from registry_service.checkpoints import CheckpointSchedule
from registry_service.comparison_rpc import ComparisonService
from registry_service.file_verifier import FileVerifier
from registry_service.ledger_rpc import LedgerService
from registry_service.lineage_rpc import LineageService
from registry_service.loaded_metrics import LoadedMetrics
from registry_service.model_rpc import ModelService
from registry_service.policy_rpc import PolicyService
from registry_service.promotion_rpc import PromotionService
from registry_service.public_addresses import read_networks
from registry_service.registry_database import LEDGER_CHANNEL, RegistryDatabase
from registry_service.review_rpc import ReviewService
from registry_service.serving_rpc import ServingService
from registry_service.token_rpc import TokenService
from registry_service.tracking_client import TrackingClient
from registry_service.version_registration import Registrar
from registry_service.watch_feed import Feed
from registry_service.watch_rpc import WatchService
from registry_service.webhook_courier import Office
from registry_service.webhook_delivery import WebhookDelivery
from registry_service.webhook_rpc import Delivering, WebhookService
from registry_service.webhook_secrets import WebhookSecrets
from registry_service.webhook_sender import WebhookSender
from service_chassis.behind_gateway import followed_signer
from service_chassis.blob_store import open_blob_store
from service_chassis.database import Database
from service_chassis.notifications import listen
from service_chassis.page_tokens import PageTokens
from studbook.registry.v1.alias_service_pb2_grpc import add_AliasServiceServicer_to_server
from studbook.registry.v1.comparison_service_pb2_grpc import (
    add_ComparisonServiceServicer_to_server,
)
from studbook.registry.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from studbook.registry.v1.lineage_service_pb2_grpc import add_LineageServiceServicer_to_server
from studbook.registry.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from studbook.registry.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server
from studbook.registry.v1.promotion_service_pb2_grpc import add_PromotionServiceServicer_to_server
from studbook.registry.v1.review_service_pb2_grpc import add_ReviewServiceServicer_to_server
from studbook.registry.v1.serving_service_pb2_grpc import add_ServingServiceServicer_to_server
from studbook.registry.v1.token_service_pb2_grpc import add_TokenServiceServicer_to_server
from studbook.registry.v1.watch_service_pb2_grpc import add_WatchServiceServicer_to_server
from studbook.registry.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server

if TYPE_CHECKING:
    import grpc

    from registry_service.settings import RegistrySettings


class Application:
    """Everything that runs in a process of the registry service.

    Must be made inside an event loop.

    Args:
        settings: Where things are, and limits.

    Attributes:
        followed: Files that its server is to look after.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._database = Database(
            settings.database_url, "registry_service", pool_size=settings.database_connections
        )
        self._database.migrate()
        database = RegistryDatabase(self._database)
        self.blobs = open_blob_store(settings.artifact_store)
        tokens = PageTokens(settings.page_token_key())
        signer, key_file = followed_signer("registry", settings.assertion_private_key)
        certificate = settings.client_certificate()
        self.followed = [key_file, *([certificate.files] if certificate else [])]
        self._tracking = TrackingClient(
            settings.tracking_address, signer, settings.tracking_timeout_seconds, certificate
        )
        self._verifier = FileVerifier(database, self.blobs, settings.verify_at_once_bytes)
        self._background: list[asyncio.Task[None]] = []
        registrar = Registrar(database, self._tracking, self._verifier)
        self._models = ModelService(database, registrar, tokens)
        self._policies = PolicyService(database, tokens)
        self._promotions = PromotionService(database, self._tracking, tokens)
        self._reviews = ReviewService(database, tokens)
        retention = settings.retention_of_reports()
        self._loaded_metrics = LoadedMetrics(database, retention)
        self._serving = ServingService(database, self.blobs, tokens, retention)
        self._comparisons = ComparisonService(database, self._tracking)
        self._aliases = AliasService(database, tokens)
        self._tokens = TokenService(database)
        self._feed = Feed(database, poll_s=settings.watch_poll_seconds, most=settings.watchers)
        self._watches = WatchService(database, self._feed, tokens, settings.limits_of_watches())
        self._sender: WebhookSender | None = None
        self._delivering = self._deliver(database, settings)
        self._webhooks = WebhookService(
            database,
            tokens,
            self._delivering,
            read_networks(settings.webhook_allowed_networks),
            settings.webhooks,
        )
        keys = settings.signer()
        self._lineage = LineageService(database, keys, tokens)
        self._ledger = LedgerService(database, keys, tokens)
        self._checkpoints = CheckpointSchedule(database, keys, settings.checkpoint_minutes * 60)

    def _deliver(self, database: RegistryDatabase, settings: RegistrySettings) -> Delivering | None:
        if settings.webhook_key_file is None:
            return None
        networks = read_networks(settings.webhook_allowed_networks)
        self._sender = WebhookSender(networks, settings.webhook_timeout_seconds)
        secrets = WebhookSecrets(settings.webhook_key_file.read_bytes())
        limits = settings.limits_of_deliveries()
        office = Office(database, self._feed, self._sender, secrets, limits)
        return Delivering(office, WebhookDelivery(office, settings.watch_poll_seconds))

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer calls that come to this server."""
        add_ModelServiceServicer_to_server(self._models, server)
        add_PolicyServiceServicer_to_server(self._policies, server)
        add_PromotionServiceServicer_to_server(self._promotions, server)
        add_ReviewServiceServicer_to_server(self._reviews, server)
        add_ServingServiceServicer_to_server(self._serving, server)
        add_AliasServiceServicer_to_server(self._aliases, server)
        add_ComparisonServiceServicer_to_server(self._comparisons, server)
        add_LineageServiceServicer_to_server(self._lineage, server)
        add_LedgerServiceServicer_to_server(self._ledger, server)
        add_TokenServiceServicer_to_server(self._tokens, server)
        add_WatchServiceServicer_to_server(self._watches, server)
        add_WebhookServiceServicer_to_server(self._webhooks, server)

    async def prepare(self) -> None:
        """Do what has to be done before the first call, and begin what goes on beside them."""
        REGISTRY.register(self._loaded_metrics)
        await self._verifier.catch_up()
        await self._feed.start()
        listening = listen(self._database.engine, LEDGER_CHANNEL, self._feed.look)
        works = [self._verifier.run(), self._feed.run(), self._checkpoints.run(), listening]
        if self._delivering is not None:
            works.append(self._delivering.delivery.run())
        for work in works:
            self._background.append(asyncio.create_task(work))

    def end_calls(self) -> None:
        """End calls that would last, because the server is about to stop."""
        self._feed.end()

    async def close(self) -> None:
        """End background work and close all connections."""
        with suppress(KeyError):
            REGISTRY.unregister(self._loaded_metrics)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._sender is not None:
            await self._sender.close()
        await self._verifier.close()
        await self._tracking.close()
        await asyncio.to_thread(self._database.close)
