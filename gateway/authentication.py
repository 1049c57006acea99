"""From a call's metadata to an authenticated caller, remembered for a minute."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.introspection import Introspector
from gateway.metadata_limits import MetadataLimits
from gateway.principals import Identity, identify
from gateway.refusals import TokenRefusedError, token_revoked
from gateway.userinfo import UserInfo
from service_chassis.errors import Code, StudbookError
from service_chassis.security_log import record_login

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.access_rules import AccessRules
    from gateway.holdings import Holdings
    from gateway.refusal_pace import RefusalPace
    from gateway.token_verifier import TokenVerifier
    from service_chassis.caller import Caller, Metadata

_REMEMBERED_S = 60.0
_MOST_REMEMBERED = 10_000
_LIMITS = MetadataLimits(bytes=32 * 1024, entries=128)


class RulesSource(Protocol):
    """Holds the access rules that are in force."""

    @property
    def current(self) -> AccessRules:
        """The rules in force at this moment."""


@dataclass(frozen=True, eq=False)
class Authenticated:
    """A caller whose token was verified, under the rules that it was verified with.

    Attributes:
        identity: Who it is.
        rules: The rules, which this object does not outlive.
        holdings: What it holds by them, as of when it was verified.
        token_digest: SHA-256 of the token.
        expires_at: When the token expires, in seconds since 1970.
        admitted: What was found out before about the methods that it calls, by their path.
    """

    identity: Identity
    rules: AccessRules
    holdings: Holdings
    token_digest: str
    expires_at: float
    admitted: dict[str, Caller] = field(default_factory=dict)


class Authenticator:
    """Authenticates callers.

    Args:
        rules: The access rules in force; a change of them forgets all callers.
        verifier: Verifies tokens.
        introspector: Asks about tokens that say nothing themselves; default: one of its own.
        limits: How much may come with a call.
        pace: How many refusals are answered at once; default: all.
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        rules: RulesSource,
        verifier: TokenVerifier,
        now: Callable[[], float] = time.time,
        introspector: Introspector | None = None,
        limits: MetadataLimits = _LIMITS,
        pace: RefusalPace | None = None,
    ) -> None:
        self._rules = rules
        self._verifier = verifier
        self._introspector = introspector if introspector is not None else Introspector(now)
        self._userinfo = UserInfo(now)
        self._now = now
        self._limits = limits
        self._pace = pace
        self._known: OrderedDict[str, tuple[float, Authenticated]] = OrderedDict()

    async def authenticate(self, metadata: Metadata, method: str = "") -> Authenticated:
        """Who makes a call with this metadata.

        The first use of a token is logged as a login. Where many tokens are refused it takes time.

        Args:
            metadata: What came with the call.
            method: Path of the method that is called, for the log.

        Raises:
            StudbookError: As `look_up`.
        """
        try:
            return await self.look_up(metadata, method)
        except StudbookError as refusal:
            if refusal.code is Code.UNAUTHENTICATED and self._pace is not None:
                await self._pace.keep()
            raise

    async def look_up(self, metadata: Metadata, method: str = "") -> Authenticated:
        """Who makes a call with this metadata; as `authenticate`, at once.

        Raises:
            StudbookError: UNAUTHENTICATED; METADATA_TOO_LARGE; or UNAVAILABLE when the issuer's
                keys cannot be had.
        """
        self._limits.check(metadata)
        token = bearer_token(metadata)
        rules = self._rules.current
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = self._known.get(digest)
        if known is not None and self._now() < known[0] and known[1].rules is rules:
            return known[1]
        opaque = self._introspector.concerns(token, rules)
        verify = self._introspector.verify if opaque else self._verifier.verify
        verified = await self._userinfo.completed(token, await verify(token, rules), rules)
        if rules is not self._rules.current:
            # While an issuer was asked they have changed, maybe because of this very caller.
            return await self.look_up(metadata, method)
        identity = identify(verified, rules)
        if rules.is_revoked(identity.principal, verified.issued_at):
            raise token_revoked(identity.principal)
        holdings = rules.holdings(
            identity.principal.id, identity.groups, self._now(), identity.resources
        )
        caller = Authenticated(identity, rules, holdings, digest, verified.expires_at)
        if known is None:
            record_login(identity.principal, method)
        self._remember(caller)
        return caller

    async def close(self) -> None:
        """Close the connections to the issuers that are asked about tokens."""
        await self._userinfo.close()
        await self._introspector.close()

    def is_in_force(self, caller: Authenticated) -> bool:
        """Whether what a caller was found to hold still is what it holds."""
        return caller.rules is self._rules.current and self._now() < caller.holdings.until_s

    def _remember(self, caller: Authenticated) -> None:
        until = min(caller.expires_at, caller.holdings.until_s, self._now() + _REMEMBERED_S)
        self._known[caller.token_digest] = until, caller
        self._known.move_to_end(caller.token_digest)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)


def bearer_token(metadata: Metadata) -> str:
    """The token that a call carries.

    Raises:
        StudbookError: TOKEN_MISSING, or TOKEN_INVALID when there are several or another scheme.
    """
    values = [value for key, value in metadata if key == "authorization"]
    if not values:
        raise TokenRefusedError("TOKEN_MISSING", "no authorization entry")
    # Two entries could mean one token to us and another to whoever logs or proxies the call.
    if len(values) > 1:
        raise TokenRefusedError("TOKEN_INVALID", "several authorization entries")
    scheme, _, token = str(values[0]).partition(" ")
    if scheme.lower() != "bearer":
        raise TokenRefusedError("TOKEN_INVALID", "scheme is not Bearer")
    if not token.strip():
        raise TokenRefusedError("TOKEN_MISSING", "empty token")
    return token
