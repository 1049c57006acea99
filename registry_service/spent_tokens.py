"""Tokens that are good for one use: noting that one was used, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.ledger import Draft
from service_chassis.errors import Code, StudbookError
from service_chassis.timestamps import to_text

if TYPE_CHECKING:
    from registry_service.canonical_json import Json
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller

EXCHANGE = "token.exchanged"
# For gateways whose clocks are behind: they take the token for a little longer.
KEPT_LONGER_US = 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A token that is given up for another.

    Attributes:
        resource: The workspace in which the other one is good, or `workspaces/-`.
        issuer: Issuer of the one given up.
        digest: SHA-256, in hex, of what tells it from all others of its issuer.
        expire_us: When nobody takes it any more.
        token_id: Id of the other one.
        resources: Resource patterns for which that is good.
        token_expire_us: When that expires.
    """

    resource: str
    issuer: str
    digest: str
    expire_us: int
    token_id: str
    resources: tuple[str, ...]
    token_expire_us: int


def exchange(store: RegistryStore, caller: Caller, wanted: Exchange) -> int:
    """Note an exchange; returns the position of its ledger entry.

    Must run in a write transaction.

    Raises:
        StudbookError: TOKEN_SPENT, when the token was exchanged before.
    """
    # Of two who exchange the same token at once, one waits here, and then sees the other's.
    store.ledger.lock()
    if store.tokens.is_spent(wanted.issuer, wanted.digest):
        raise token_spent()
    store.tokens.forget_expired(store.now_us())
    until_us = wanted.expire_us + KEPT_LONGER_US
    store.tokens.spend(wanted.issuer, wanted.digest, until_us)
    content: dict[str, Json] = {
        "token_digest": f"sha256:{wanted.digest}",
        "token_issuer": wanted.issuer,
        "spent_until_us": until_us,
        "exchanged_token_id": wanted.token_id,
        "exchanged_expire_time": to_text(wanted.token_expire_us),
        "resources": wanted.resources,
    }
    draft = Draft(caller.principal, EXCHANGE, wanted.resource, content)
    return store.ledger.append(draft).position


def token_spent() -> StudbookError:
    """ALREADY_EXISTS, because the token was exchanged before.

    That it is a refusal, and in which words, is for the gateway to say.
    """
    return StudbookError(
        Code.ALREADY_EXISTS,
        "TOKEN_SPENT",
        "The token was exchanged before.",
    )
