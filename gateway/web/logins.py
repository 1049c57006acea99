"""A login under way: what its answer is checked with, kept by the browser that began it."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from gateway.web.refusals import LoginRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.web.provider import Provider
    from gateway.web.sealing import Sealer

# How long a person may take at the provider.
LOGIN_S = 600
_PURPOSE = "login"
_LONGEST_CODE = 4096


@dataclass(frozen=True)
class PendingLogin:
    """One authorisation request.

    Nothing of it is kept here: the browser keeps it, sealed, in a cookie. So an answer is taken
    from the browser that asked alone, by any replica, and somebody else's login cannot be pushed
    into it.
    """

    provider: str
    return_to: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)

    def seal(self, sealer: Sealer) -> str:
        """The value of its cookie."""
        return sealer.seal(_PURPOSE, asdict(self))

    @classmethod
    def opened(cls, sealer: Sealer, cookie: str) -> PendingLogin:
        """The login that a cookie holds.

        Raises:
            LoginRefusedError: It holds none of ours, or one that was begun too long ago.
        """
        content = sealer.open(_PURPOSE, cookie, LOGIN_S)
        if content is None:
            raise LoginRefusedError("STATE_INVALID", "login cookie" if cookie else "no cookie")
        return cls(**content)

    def code(self, answer: Mapping[str, str], provider: Provider) -> str:
        """The code in the provider's answer.

        Args:
            answer: The query of the redirect, each name once.
            provider: Whom the browser was sent to.

        Raises:
            LoginRefusedError: The answer belongs to another login, comes from another provider,
                or says no.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            raise LoginRefusedError("STATE_INVALID", "state", provider=self.provider)
        # RFC 9207: a provider that does so names itself, against mix-ups with another one.
        issuer = answer.get("iss")
        if issuer != provider.issuer.url and (issuer is not None or provider.names_itself):
            raise LoginRefusedError("ISSUER_MISMATCH", "iss", provider=self.provider)
        code = answer.get("code", "")
        if "error" in answer or not code or len(code) > _LONGEST_CODE:
            said = "".join(c for c in answer.get("error", "no code") if c.isprintable())[:80]
            raise LoginRefusedError("PROVIDER_REFUSED", said, provider=self.provider)
        return code
