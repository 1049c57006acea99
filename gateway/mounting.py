"""Services mounted in the gateway: answered in its own process, with no hop in between.

A mounted service does the very checks that it does behind the gateway; only who calls it learns
from the gateway directly instead of from a signed assertion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.admission import admit

if TYPE_CHECKING:
    from gateway.authentication import Authenticator
    from service_chassis.caller import Caller, Metadata
    from service_chassis.method_access import Method


class AuthenticatedCallers:
    """Tells a mounted service who calls, by the token that came with the call.

    Args:
        authenticator: Verifies tokens.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def caller(self, method: Method, metadata: Metadata) -> Caller:
        """The caller, with the grants that matter for the method.

        Raises:
            StudbookError: UNAUTHENTICATED; PERMISSION_MISSING, when the caller may not call the
                method at all; UNAVAILABLE when the issuer's keys cannot be had.
        """
        return admit(method, await self._authenticator.authenticate(metadata))
