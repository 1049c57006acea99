"""Giving CI jobs a token of the gateway's own, once, for the one that their CI system gave them."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any

from gateway.access_file import PipelineIssuer
from gateway.authentication import bearer_token
from gateway.refusals import token_not_exchangeable
from gateway.token_scope import EVERYTHING, common, is_held, workspace_of
from gateway.token_shape import LONGEST_TOKEN
from gateway.token_verifier import LEEWAY_S, OWN_ISSUER
from service_chassis.errors import invalid_field
from service_chassis.permissions import is_valid_pattern
from service_chassis.principal_message import principal_message
from service_chassis.resource_names import check_length
from service_chassis.timestamps import to_timestamp
from service_chassis.validation import check_count
from studbook.identity.v1.identity_service_pb2 import ExchangeTokenResponse
from studbook.registry.v1.token_service_pb2 import SpendTokenRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.duration_pb2 import Duration

    from gateway.authentication import Authenticated
    from gateway.token_keys import TokenKeys
    from gateway.token_register import TokenRegister
    from gateway.token_verifier import TokenVerifier, VerifiedToken
    from service_chassis.caller import Metadata
    from studbook.identity.v1.identity_service_pb2 import ExchangeTokenRequest

MOST_RESOURCES = 20
# What says where and when the CI system's token itself is good. `iat` stays: revocations of all
# tokens that were issued before a time are to find it.
_OF_THE_TOKEN = frozenset({"aud", "exp", "nbf"})


class TokenExchange:
    """Exchanges tokens.

    Args:
        verifier: Verifies the tokens that are given up.
        keys: Signs those that are given for them.
        register: Notes that a token was exchanged.
        lifetime_s: How long the gateway's tokens are good, in seconds.
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        keys: TokenKeys,
        register: TokenRegister,
        lifetime_s: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._keys = keys
        self._register = register
        self._lifetime_s = lifetime_s
        self._now = now

    async def exchange(
        self, caller: Authenticated, metadata: Metadata, request: ExchangeTokenRequest
    ) -> ExchangeTokenResponse:
        """A token for a CI job.

        Args:
            caller: The job, as its CI system's token says.
            metadata: What came with the call, that token among it.
            request: What is asked for.

        Raises:
            StudbookError: TOKEN_NOT_EXCHANGEABLE, TOKEN_SPENT, FIELD_INVALID, or
                SERVICE_UNAVAILABLE.
        """
        text = bearer_token(metadata)
        token = await self._verifier.verify(text, caller.rules)
        principal = caller.identity.principal
        _check_exchangeable(token, principal.id)
        held = _held(caller)
        resources = _checked_resources(request.resources, held)
        now = int(self._now())
        expires = now + self._seconds(request, token, now)
        own_id = secrets.token_urlsafe(12)
        made = self._keys.sign(_claims(token, own_id, resources, now, expires))
        if len(made) > LONGEST_TOKEN:
            raise invalid_field("resources", ", ".join(resources), "name fewer, or shorter ones")
        spending = SpendTokenRequest(
            resource=workspace_of(
                filter(None, (common(one, other) for one in held for other in resources))
            ),
            issuer=principal.issuer,
            digest=f"sha256:{_digest(text, token)}",
            expire_time=to_timestamp(int((token.expires_at + LEEWAY_S) * 1_000_000)),
            exchanged_token_id=f"{principal.token_id}/{own_id}",
            resources=resources,
            exchanged_expire_time=to_timestamp(expires * 1_000_000),
        )
        await self._register.spend(principal, spending)
        return ExchangeTokenResponse(
            access_token=made,
            expire_time=spending.exchanged_expire_time,
            principal=principal_message(principal),
            resources=resources,
        )

    def _seconds(self, request: ExchangeTokenRequest, token: VerifiedToken, now: int) -> int:
        """How long the new token is good.

        Who holds the CI system's token is vouched for until that expires, so ours may last as long.
        """
        longest = max(self._lifetime_s, int(token.expires_at) - now)
        if not request.HasField("lifetime"):
            return self._lifetime_s
        return min(_checked_seconds(request.lifetime), longest)


def _check_exchangeable(token: VerifiedToken, principal: str) -> None:
    if not isinstance(token.issuer.settings, PipelineIssuer):
        raise token_not_exchangeable(
            principal, "Only the tokens of CI systems are exchanged; use this one as it is."
        )
    if token.exchanged_id:
        raise token_not_exchangeable(
            principal, "The token was given in exchange itself; use it as it is."
        )


def _held(caller: Authenticated) -> tuple[str, ...]:
    """The resource patterns on which the caller holds anything."""
    return tuple(dict.fromkeys(grant.resource for grant in caller.holdings.grants))


def _checked_resources(wanted: Iterable[str], held: Iterable[str]) -> tuple[str, ...]:
    resources = tuple(dict.fromkeys(wanted))
    check_count(resources, "resources", MOST_RESOURCES)
    for pattern in resources:
        check_length(pattern, "resources")
        if not is_valid_pattern(pattern):
            raise invalid_field(
                "resources",
                pattern,
                "write a resource name such as workspaces/main/models/wine-cultivar, with * for "
                "any part of a segment and ** at the end for everything below",
            )
        if not is_held(pattern, held):
            known = ", ".join(held) or "nothing"
            raise invalid_field("resources", pattern, f"the pipeline holds something on {known}")
    return resources or EVERYTHING


def _checked_seconds(lifetime: Duration) -> int:
    if lifetime.seconds < 1:
        raise invalid_field("lifetime", f"{lifetime.seconds} s", "ask for at least a second")
    return lifetime.seconds


def _claims(
    token: VerifiedToken, own_id: str, resources: tuple[str, ...], now: int, expires: int
) -> dict[str, Any]:
    return {
        "iss": OWN_ISSUER,
        "aud": token.issuer.settings.audience,
        "iat": now,
        "exp": expires,
        "jti": own_id,
        # With each use the pipeline is found anew, by the rules of that moment.
        "job": {name: value for name, value in token.claims.items() if name not in _OF_THE_TOKEN},
        "resources": resources,
    }


def _digest(text: str, token: VerifiedToken) -> str:
    """SHA-256 in hex of what tells a token from all others of its issuer."""
    token_id = token.claims.get("jti")
    if isinstance(token_id, str) and token_id:
        return hashlib.sha256(f"jti {token_id}".encode()).hexdigest()
    # Without the signature: for the same content there can be several.
    return hashlib.sha256(f"jws {text.rpartition('.')[0]}".encode()).hexdigest()
