"""Groups that an issuer names to whoever shows a person's token, and not in the token itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from gateway.access_file import PeopleIssuer
from gateway.access_rules import claim_value
from gateway.issuer_endpoint import IssuerEndpoint
from gateway.principals import identify
from gateway.refusals import TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.access_rules import AccessRules, NamedIssuer
    from gateway.token_verifier import VerifiedClaims, VerifiedToken

# As long as a verified token is remembered; but not forgotten with it when the rules change, which
# would have everybody's groups asked for at once.
_KEPT_S, _MOST_KEPT = 60.0, 10_000


class UserInfo:
    """Asks issuers for the groups of people, where the rules say so.

    Args:
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._endpoints: dict[str, IssuerEndpoint] = {}
        # By issuer, claim and token.
        self._kept: OrderedDict[tuple[str, str, str], tuple[float, dict[str, Any]]] = OrderedDict()

    async def completed(self, text: str, token: VerifiedToken, rules: AccessRules) -> VerifiedToken:
        """A token with the groups that its issuer names elsewhere.

        Args:
            text: The token as it was sent.
            token: What it says.
            rules: The access rules in force.

        Raises:
            StudbookError: TOKEN_INVALID, when the issuer refuses the token or speaks of somebody
                else; ISSUER_UNAVAILABLE; what `identify` raises.
        """
        settings = token.issuer.settings
        if not isinstance(settings, PeopleIssuer) or settings.groups_source != "userinfo":
            return token
        if claim_value(token.claims, settings.groups_claim) is not None:
            return token
        # Programs are nobody there.
        if identify(token, rules).principal.kind != "user":
            return token
        groups = await self._groups(text, token, settings.groups_claim)
        return replace(token, claims=cast("VerifiedClaims", {**token.claims, **groups}))

    async def _groups(self, text: str, token: VerifiedToken, claim: str) -> dict[str, Any]:
        key = token.issuer.settings.url, claim, token.digest
        until, groups = self._kept.get(key, (0.0, {}))
        if self._now() < until:
            return groups
        refused = TokenRefusedError("TOKEN_INVALID", "refused by the issuer's userinfo endpoint")
        endpoint = await self._endpoint(token.issuer)
        answer = await endpoint.ask(
            "GET", lambda: {"headers": {"authorization": f"Bearer {text}"}}, refused
        )
        # Or else anybody's answer would do (OpenID Connect Core, 5.3.2).
        if answer.get("sub") != token.claims["sub"]:
            raise TokenRefusedError("TOKEN_INVALID", "userinfo speaks of another")
        groups = _with_groups(answer, claim)
        self._kept[key] = self._now() + _KEPT_S, groups
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return groups

    async def _endpoint(self, issuer: NamedIssuer) -> IssuerEndpoint:
        known = self._endpoints.get(issuer.name)
        if known is not None and known.issuer == issuer:
            return known
        new = self._endpoints[issuer.name] = IssuerEndpoint(issuer, "userinfo_endpoint")
        if known is not None:
            await known.close()
        return new

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints.values():
            await endpoint.close()


def _with_groups(answer: Mapping[str, Any], claim: str) -> dict[str, Any]:
    """The member that holds the groups, whether `claim` is its name or a path into it."""
    names = {claim, claim.partition("/")[0]} & answer.keys()
    return {name: answer[name] for name in names}
