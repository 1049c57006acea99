"""What the registry keeps, in SQL: one class for each noun, all within one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.store.alias_store import AliasStore
from registry_service.store.audit_store import AuditStore
from registry_service.store.checkpoint_store import CheckpointStore
from registry_service.store.erasure_store import ErasureStore
from registry_service.store.ledger_store import LedgerStore
from registry_service.store.lineage_store import LineageStore
from registry_service.store.loaded_store import LoadedStore
from registry_service.store.model_store import ModelStore
from registry_service.store.policy_store import PolicyStore
from registry_service.store.standing_store import StandingStore
from registry_service.store.stay_store import StayStore
from registry_service.store.token_store import TokenStore
from registry_service.store.transition_request_store import TransitionRequestStore
from registry_service.store.version_store import VersionStore
from registry_service.store.webhook_store import WebhookStore
from service_chassis.timestamps import now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa


class RegistryStore:
    """The registry's tables as one transaction sees them.

    Args:
        connection: A connection inside a transaction.
        clock: The present moment in microseconds.
    """

    def __init__(self, connection: sa.Connection, clock: Callable[[], int] = now_us) -> None:
        self.now_us = clock
        self.ledger = LedgerStore(connection, clock)
        self.checkpoints = CheckpointStore(connection)
        self.audit = AuditStore(connection)
        self.erasure = ErasureStore(connection)
        self.models = ModelStore(connection)
        self.versions = VersionStore(connection)
        self.lineages = LineageStore(connection)
        self.stays = StayStore(connection)
        self.aliases = AliasStore(connection)
        self.standing = StandingStore(connection)
        self.webhooks = WebhookStore(connection)
        self.loaded = LoadedStore(connection)
        self.policies = PolicyStore(connection)
        self.requests = TransitionRequestStore(connection)
        self.tokens = TokenStore(connection)
