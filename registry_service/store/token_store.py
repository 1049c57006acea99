"""The table of spent tokens."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.token_tables import spent_tokens


class TokenStore:
    """Notes which tokens were used."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def is_spent(self, issuer: str, digest: str) -> bool:
        """Whether a token was noted, and may not have expired yet."""
        query = sa.select(spent_tokens.c.digest).where(
            spent_tokens.c.issuer == issuer, spent_tokens.c.digest == digest
        )
        return self._connection.execute(query).one_or_none() is not None

    def spend(self, issuer: str, digest: str, expire_us: int) -> None:
        """Note a token, until a time at which nobody takes it any more."""
        row = {"issuer": issuer, "digest": digest, "expire_us": expire_us}
        self._connection.execute(spent_tokens.insert(), row)

    def forget_expired(self, us: int) -> None:
        """Remove the tokens that nobody takes any more at a time."""
        self._connection.execute(spent_tokens.delete().where(spent_tokens.c.expire_us < us))
