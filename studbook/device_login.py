"""Logging in on a machine without a browser: the device grant (RFC 8628).

The person opens an address on another device, sees there the code that is shown here, and logs in;
this process asks the login provider meanwhile whether that has happened.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studbook import login_provider
from studbook.exceptions import FailedPrecondition, StudbookError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from studbook.login_provider import Provider
    from studbook.stored_logins import Login

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# What the standard says where the provider does not.
_INTERVAL_S = 5.0
_SLOWER_S = 5.0
_AGAIN = "Run `studbook login --device` again."


@dataclass(frozen=True)
class _Codes:
    """What the provider gave out: the device's secret, and what the person needs."""

    device_code: str = field(repr=False)
    user_code: str
    address: str
    address_with_code: str
    lifetime_s: float
    interval_s: float

    @classmethod
    def read(cls, answer: Mapping[str, Any], issuer: str) -> _Codes:
        """Check an answer of the provider."""
        texts = {
            # Google's name for the address is older than the standard.
            "verification_uri": answer.get("verification_uri") or answer.get("verification_url"),
            **{name: answer.get(name) for name in ("device_code", "user_code")},
        }
        missing = [name for name, text in texts.items() if not isinstance(text, str) or not text]
        lifetime = _seconds(answer, "expires_in", 0.0)
        if missing or lifetime <= 0:
            lacking = ", ".join(missing or ["expires_in"])
            message = f"The login provider {issuer} began no device login: {lacking} is missing."
            raise Unavailable(message)
        complete = str(answer.get("verification_uri_complete") or "")
        for address in filter(None, (texts["verification_uri"], complete)):
            login_provider.require_secure(str(address), issuer)
        return cls(
            device_code=str(texts["device_code"]),
            user_code=_shown(texts["user_code"]),
            address=_shown(texts["verification_uri"]),
            address_with_code=_shown(complete),
            lifetime_s=lifetime,
            interval_s=_seconds(answer, "interval", _INTERVAL_S),
        )

    def in_words(self) -> str:
        """What the person has to do."""
        if self.address_with_code:
            return (
                f"Open this address on any device:\n{self.address_with_code}\n"
                f"It must show the code {self.user_code}. "
                f"Without the code, the address is {self.address}"
            )
        return (
            f"Open this address on any device:\n{self.address}\n"
            f"and enter the code {self.user_code} there."
        )


def _shown(text: object) -> str:
    """Without what would drive the terminal."""
    return "".join(letter for letter in str(text) if letter.isprintable())


def _seconds(answer: Mapping[str, Any], name: str, default: float) -> float:
    value = answer.get(name)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if numeric else default  # type: ignore[arg-type]


def with_device(
    address: str,
    *,
    provider_name: str = "",
    show: Callable[[str], object],
    wait: Callable[[float], object] = time.sleep,
) -> Login:
    """Let a person log in with the browser of another device.

    Args:
        address: The server.
        provider_name: Which login provider, where the server has several.
        show: Told what to do, in words.
        wait: How to wait between two questions to the provider, in seconds.

    Raises:
        FailedPrecondition: The login provider has no device grant.
        Unauthenticated: Nobody logged in, in time or at all.
    """
    provider = login_provider.discover(address, provider_name)
    if not provider.device_authorization_endpoint:
        raise FailedPrecondition(
            f"The login provider {provider.issuer} has no device login: it names no "
            "device_authorization_endpoint.",
            next_step="Use `studbook login` where there is a browser, or `studbook login "
            "--token-stdin` with a token from elsewhere.",
        )
    codes = _begin(provider)
    show(codes.in_words())
    return _outcome(provider, codes, wait)


def _begin(provider: Provider) -> _Codes:
    endpoint = provider.device_authorization_endpoint
    with login_provider.as_login_client(provider, endpoint) as client:
        answer = client.ask(
            endpoint,
            scope=provider.scope,
            **login_provider.for_audience(provider),
        )
    return _Codes.read(answer, provider.issuer)


def _outcome(provider: Provider, codes: _Codes, wait: Callable[[float], object]) -> Login:
    interval = codes.interval_s
    left = codes.lifetime_s
    while left > 0:
        wait(min(interval, left))
        left -= interval
        try:
            return _ask(provider, codes)
        except Unavailable:
            # Less often, as the standard asks for when the provider does not answer.
            interval *= 2
        except StudbookError as error:
            match error.metadata.get("error"):
                case "authorization_pending":
                    pass
                case "slow_down":
                    interval += _SLOWER_S
                case "access_denied":
                    raise _nobody("The login was refused.") from None
                case "expired_token":
                    break
                case _:
                    raise
    raise _nobody(f"Nobody entered the code within {codes.lifetime_s:g} seconds.")


def _ask(provider: Provider, codes: _Codes) -> Login:
    with login_provider.as_login_client(provider, provider.token_endpoint) as client:
        tokens = client.fetch_token(
            provider.token_endpoint,
            grant_type=_GRANT,
            device_code=codes.device_code,
            **login_provider.for_audience(provider),
        )
    return login_provider.login_from(tokens, provider, provider.client_id, session=True)


def _nobody(message: str) -> Unauthenticated:
    return Unauthenticated(message, reason="LOGIN_REFUSED", next_step=_AGAIN)
