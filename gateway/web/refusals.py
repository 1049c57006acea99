"""How the pages refuse: with a status, words for the person, and a reason for the log."""

from __future__ import annotations

from service_chassis.errors import Code, StudbookError, unavailable

# For people: what happened and what to do. Which check failed is for the log.
_WORDS = {
    "STATE_INVALID": (
        400,
        "This sign-in was begun too long ago, in another browser, or is finished already.",
    ),
    "ISSUER_MISMATCH": (400, "The answer did not come from the provider that was asked."),
    "ID_TOKEN_INVALID": (403, "The provider's answer could not be verified."),
    "PROVIDER_REFUSED": (403, "The provider did not let you in."),
    "NOT_A_PERSON": (403, "Only people can sign in here; programs call the gRPC API."),
    "LOGOUT_TOKEN_INVALID": (400, "The logout token is not one, or was used before."),
    "FORM_INVALID": (
        403,
        "This form is out of date, or not from a page of ours. Load the page anew and try again.",
    ),
}


class PageRefusedError(Exception):
    """A request that is refused for a reason of security.

    Args:
        reason: Why, as the log has it.
        check: Which check failed, for the log.
        bearer: Who it was, as far as that is known.
    """

    code = Code.PERMISSION_DENIED

    def __init__(self, reason: str, check: str, **bearer: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status, self.words = _WORDS[reason]
        self.for_log = {"check": check, **bearer}


class LoginRefusedError(PageRefusedError):
    """A login that comes to nothing."""

    code = Code.UNAUTHENTICATED


class LogoutRefusedError(PageRefusedError):
    """A provider's word of the end of a login that is not to be believed."""

    code = Code.UNAUTHENTICATED

    def __init__(self, check: str, **bearer: str) -> None:
        super().__init__("LOGOUT_TOKEN_INVALID", check, **bearer)


class FormRefusedError(PageRefusedError):
    """A form that is not ours."""

    def __init__(self, check: str) -> None:
        super().__init__("FORM_INVALID", check)


def provider_unavailable(name: str) -> StudbookError:
    """UNAVAILABLE, because a login provider does not answer."""
    return unavailable(
        "ISSUER_UNAVAILABLE",
        f"The login provider {name} cannot be reached at present; try again shortly.",
        issuer=name,
    )
