"""What the table of spent tokens must hold, by the ledger alone; see `ledger_replay`.

Whoever removes a row could have its token exchanged once more. That the row is missing is found for
as long as the token is good, and that the token was exchanged twice for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_service.spent_tokens import EXCHANGE, KEPT_LONGER_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from studbook.ledger_chain import Link


@dataclass(frozen=True, slots=True)
class SpentToken:
    """A token that was exchanged.

    Attributes:
        position: Position of the entry that says so.
        expire_us: Until when its row is kept.
    """

    position: int
    expire_us: int

    def may_be_good(self, us: int) -> bool:
        """Whether a gateway may still take it at a time, but for its having been exchanged."""
        return us < self.expire_us - KEPT_LONGER_US


class TokenReplay:
    """Follows the entries about tokens that were exchanged.

    Attributes:
        known: Tokens by issuer and digest.
        repeated: Positions of entries that exchange a token again, with the entry before.
        actions: What follows an entry, by its action.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], SpentToken] = {}
        self.repeated: dict[int, int] = {}
        self.actions: Mapping[str, Callable[[Link, Any], None]] = {EXCHANGE: self._exchange}
        self._last_us = 0

    def forget_expired(self) -> None:
        """Forget what nobody took any more at the time of the last entry, as the registry does."""
        for key, token in list(self.known.items()):
            if token.expire_us < self._last_us:
                del self.known[key]

    def _exchange(self, link: Link, content: Any) -> None:
        if "token_issuer" not in content:
            return  # an early entry, which does not say enough
        self._last_us = link.create_us
        key = content["token_issuer"], content["token_digest"].removeprefix("sha256:")
        before = self.known.get(key)
        if before is not None:
            self.repeated[link.position] = before.position
        self.known[key] = SpentToken(link.position, content["spent_until_us"])
