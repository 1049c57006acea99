"""The connection to a Studbook server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from studbook._version import __version__
from studbook.address import resolve_address
from studbook.bulk_calls import BulkCalls
from studbook.call_channel import CallChannel
from studbook.credentials import NoToken, default_token_source
from studbook.exceptions import InvalidArgument
from studbook.exchanged_token import exchange, exchanging
from studbook.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from studbook.registry.v1.alias_service_pb2_grpc import AliasServiceStub
from studbook.registry.v1.comparison_service_pb2_grpc import ComparisonServiceStub
from studbook.registry.v1.ledger_service_pb2_grpc import LedgerServiceStub
from studbook.registry.v1.lineage_service_pb2_grpc import LineageServiceStub
from studbook.registry.v1.model_service_pb2_grpc import ModelServiceStub
from studbook.registry.v1.policy_service_pb2_grpc import PolicyServiceStub
from studbook.registry.v1.promotion_service_pb2_grpc import PromotionServiceStub
from studbook.registry.v1.review_service_pb2_grpc import ReviewServiceStub
from studbook.registry.v1.serving_service_pb2_grpc import ServingServiceStub
from studbook.registry.v1.watch_service_pb2_grpc import WatchServiceStub
from studbook.registry.v1.webhook_service_pb2_grpc import WebhookServiceStub
from studbook.tracking.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from studbook.tracking.v1.dataset_service_pb2_grpc import DatasetServiceStub
from studbook.tracking.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from studbook.tracking.v1.metric_service_pb2_grpc import MetricServiceStub
from studbook.tracking.v1.run_service_pb2_grpc import RunServiceStub
from studbook.workspaces import resolve_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.address import Address
    from studbook.credentials import TokenSource

_LARGEST_MESSAGE = 64 * 1024 * 1024
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # A page of a thousand runs is larger than grpc's 4 MiB; the server has its own limits.
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_send_message_length", _LARGEST_MESSAGE),
    # A connection that a firewall dropped in silence is noticed while a call is under way.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Repeating is decided in `call_channel`, where it is known what may be repeated.
    ("grpc.enable_retries", 0),
    # After an outage the next attempt to connect is not minutes away.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def open_channel(address: Address) -> grpc.Channel:
    """A bare channel: plain text on loopback, TLS everywhere else.

    TLS trusts the authorities in the file STUDBOOK_CA_FILE names, or else grpc's own list.

    Raises:
        InvalidArgument: When that file cannot be read.
    """
    if not address.secure:
        return grpc.insecure_channel(str(address), options=CHANNEL_OPTIONS)
    authorities = None
    if ca_file := os.environ.get("STUDBOOK_CA_FILE"):
        try:
            authorities = Path(ca_file).read_bytes()
        except OSError as error:
            message = f"STUDBOOK_CA_FILE names {ca_file}, which cannot be read: {error.strerror}."
            raise InvalidArgument(message, reason="FIELD_INVALID") from error
    credentials = grpc.ssl_channel_credentials(root_certificates=authorities)
    return grpc.secure_channel(str(address), credentials, options=CHANNEL_OPTIONS)


class Client:
    """The generated stubs of all services on one connection.

    The connection is made with the first call. Safe to use from several threads; not across
    `os.fork()`.

    Args:
        address: `host:port` of the gateway; default STUDBOOK_ADDRESS, else this machine.
        workspace: Id of the workspace; default STUDBOOK_WORKSPACE, else `main`.
        token_source: Where tokens come from; default: see `studbook.credentials`.

    Attributes:
        address: Whom it calls.
        workspace: Resource name of the workspace, `workspaces/main`.
        bulk: The calls that move bytes of files, in a form that copies nothing.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        workspace: str | None = None,
        token_source: TokenSource | None = None,
    ) -> None:
        self.address = resolve_address(address)
        self.workspace = resolve_workspace(workspace)
        self._source = token_source or default_token_source(str(self.address))
        channel = open_channel(self.address)
        # Asks about tokens, so it cannot be asked for one itself.
        self._nobody = IdentityServiceStub(self._wrapped(channel, NoToken()))
        self._tokens = exchanging(self._source, self._nobody, str(self.address))
        self._channel = self._wrapped(channel, self._tokens)
        self.experiments = ExperimentServiceStub(self._channel)
        self.runs = RunServiceStub(self._channel)
        self.metrics = MetricServiceStub(self._channel)
        self.datasets = DatasetServiceStub(self._channel)
        self.artifacts = ArtifactServiceStub(self._channel)
        self.models = ModelServiceStub(self._channel)
        self.aliases = AliasServiceStub(self._channel)
        self.policies = PolicyServiceStub(self._channel)
        self.promotions = PromotionServiceStub(self._channel)
        self.reviews = ReviewServiceStub(self._channel)
        self.serving = ServingServiceStub(self._channel)
        self.lineage = LineageServiceStub(self._channel)
        self.ledger = LedgerServiceStub(self._channel)
        self.comparisons = ComparisonServiceStub(self._channel)
        self.watches = WatchServiceStub(self._channel)
        self.webhooks = WebhookServiceStub(self._channel)
        self.identity = IdentityServiceStub(self._channel)
        self.bulk = BulkCalls(self._channel)

    def _wrapped(self, channel: grpc.Channel, token_source: TokenSource) -> CallChannel:
        return CallChannel(
            channel,
            address=str(self.address),
            token_source=token_source,
            client_name=f"python/{__version__}",
        )

    def token(self) -> str | None:
        """The token that a call made now would carry, for programs with stubs of their own.

        Raises:
            StudbookError: There should be one, but it cannot be had.
        """
        return self._tokens.token()

    def exchange_token(self, resources: Iterable[str]) -> str | None:
        """Exchange the CI job's token for one that is good for some resources only.

        Args:
            resources: Resource patterns; without `workspaces/...` they are taken in the workspace.

        Raises:
            StudbookError: It cannot be exchanged, or was before.
        """
        given = self._source.token()
        if given is None:
            return None
        patterns = [
            name if name.startswith(("workspaces/", "**")) else f"{self.workspace}/{name}"
            for name in resources
        ]
        return exchange(self._nobody, given, resources=patterns).access_token

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
