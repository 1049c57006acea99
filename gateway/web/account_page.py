"""The account page: who am I here, what may I do, and where am I signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.access_question import check_question
from gateway.web.pages import page
from service_chassis.errors import StudbookError
from service_chassis.permissions import PERMISSIONS

if TYPE_CHECKING:
    from starlette.responses import Response

    from gateway.web.session_store import SessionRow
    from gateway.web.sessions import Sessions
    from gateway.web.site import Visit

# The first that is found is meant: the later ones stand in the others' names, too.
_BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Firefox": "Firefox", "Chrome": "Chrome"} | {
    "Safari": "Safari"
}
_SYSTEMS = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows"} | {
    "Mac OS": "macOS",
    "Linux": "Linux",
}


class AccountPage:
    """The page.

    Args:
        sessions: Knows the person's sessions.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def show(self, visit: Visit) -> Response:
        """Everything about the one who is signed in."""
        caller, row = visit.caller, visit.session.row
        identity = caller.identity
        asked = visit.request.query_params
        return page(
            "account.html",
            visit.session,
            principal=identity.principal,
            groups=[group.split(":", 2)[2] for group in identity.groups],
            grants=caller.holdings.grants,
            denials=caller.holdings.denials,
            token_ends_s=caller.expires_at,
            session_ends_s=row.ends_s,
            permissions=sorted(PERMISSIONS),
            question={name: asked.get(name, "") for name in ("permission", "resource")},
            answer=_answer(visit) if "permission" in asked or "resource" in asked else None,
            sessions=[_listed(one, row) for one in await self._sessions.of(visit.session)],
        )


def _answer(visit: Visit) -> dict[str, Any]:
    """What TestAccess would answer."""
    asked, caller = visit.request.query_params, visit.caller
    permission, resource = asked.get("permission", ""), asked.get("resource", "").strip()
    try:
        check_question(permission, resource)
    except StudbookError as error:
        return {"kind": "invalid", "words": error.message}
    principal = caller.identity.principal.id
    verdict = caller.rules.explain(principal, caller.holdings, permission, resource)
    return {"kind": "allowed" if verdict.allowed else "denied", "words": verdict.explanation}


def _listed(row: SessionRow, own: SessionRow) -> dict[str, Any]:
    return {"row": row, "device": device_name(row.device), "is_own": row.digest == own.digest}


def device_name(user_agent: str) -> str:
    """A browser and its system, as people call them, from what the browser says of itself."""

    def named(known: dict[str, str]) -> str:
        return next((name for mark, name in known.items() if mark in user_agent), "")

    browser, system = named(_BROWSERS), named(_SYSTEMS)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent or "A browser that does not say what it is"
