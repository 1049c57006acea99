"""Services mounted in the gateway: answered in its own process, with no hop in between.

A mounted service does the very checks that it does behind the gateway; only who calls it learns
from the gateway directly instead of from a signed assertion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.admission import admit
from service_chassis.errors import StudbookError
from service_chassis.security_log import bearer_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gateway.authentication import Authenticator
    from gateway.turnstile import Turnstile, UnderWay
    from service_chassis.caller import Caller, Metadata
    from service_chassis.method_access import Method


class AuthenticatedCallers:
    """Tells a mounted service who calls, by the token that came with the call.

    Args:
        authenticator: Verifies tokens.
        turnstile: Keeps count of everybody's calls.
    """

    def __init__(self, authenticator: Authenticator, turnstile: Turnstile) -> None:
        self._authenticator = authenticator
        self._turnstile = turnstile

    async def caller(self, method: Method, metadata: Metadata) -> Caller:
        """The caller, with the grants that matter for the method.

        Raises:
            StudbookError: UNAUTHENTICATED; PERMISSION_MISSING, when the caller may not call the
                method at all; RATE_LIMITED; UNAVAILABLE when the issuer's keys cannot be had.
        """
        authenticated = await self._authenticator.authenticate(metadata, method.path)
        principal = authenticated.identity.principal
        try:
            self._turnstile.count(principal)
            return admit(method, authenticated)
        except StudbookError as refusal:
            # The pipeline gets no caller to say it of.
            refusal.for_log.update(bearer_of(principal))
            raise

    def under_way(
        self, method: Method, caller: Caller, metadata: Metadata
    ) -> AbstractContextManager[UnderWay]:
        """The context in which a call goes on, for the door of the pipeline.

        Raises:
            StudbookError: RATE_LIMITED, when too many calls of the caller are under way.
        """
        return self._turnstile.under_way(method, caller, metadata)
