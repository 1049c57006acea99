"""What the issuer remembers: codes for a minute, refresh tokens across restarts."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oidc.core import AuthorizationCodeMixin

if TYPE_CHECKING:
    from pathlib import Path

_CODE_LIFETIME_S = 60
_MOST_CODES = 1000
_MOST_REFRESH_TOKENS = 10_000


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class AuthorizationCode(AuthorizationCodeMixin):
    """A code that a client may exchange once for tokens."""

    family: str
    client_id: str
    sub: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    auth_time: int

    def get_redirect_uri(self) -> str:
        """Where the code was sent."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """The scope that was asked for and allowed."""
        return self.scope

    def get_nonce(self) -> str:
        """The client's nonce, to be repeated in the ID token."""
        return self.nonce

    def get_auth_time(self) -> int:
        """When the person logged in, in seconds since the epoch."""
        return self.auth_time


class CodeStore:
    """The authorisation codes that are outstanding, and for a while those already used."""

    def __init__(self) -> None:
        self._codes: OrderedDict[str, tuple[AuthorizationCode, bool]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, secret: str, code: AuthorizationCode) -> None:
        """Keep a code; the oldest goes when there are too many."""
        with self._lock:
            self._codes[_digest(secret)] = (code, False)
            while len(self._codes) > _MOST_CODES:
                self._codes.popitem(last=False)

    def redeem(self, secret: str) -> tuple[AuthorizationCode | None, bool]:
        """The code, and whether this is its first use. Every attempt uses the code up."""
        with self._lock:
            code, used = self._codes.get(_digest(secret), (None, False))
            if code is None:
                return None, False
            self._codes[_digest(secret)] = (code, True)
        fresh = time.time() < code.auth_time + _CODE_LIFETIME_S
        return code, fresh and not used

    def knows_nonce(self, client_id: str, nonce: str) -> bool:
        """Whether a code was issued for this nonce already."""
        with self._lock:
            return any(
                code.client_id == client_id and code.nonce == nonce
                for code, _ in self._codes.values()
            )


@dataclass(frozen=True)
class RefreshToken(TokenMixin):
    """A refresh token as stored: all but the secret itself."""

    digest: str
    family: str
    client_id: str
    sub: str
    scope: str

    def check_client(self, client: object) -> bool:
        """Whether it was issued to this client."""
        return bool(getattr(client, "client_id", None) == self.client_id)

    def get_scope(self) -> str:
        """The scope of the login."""
        return self.scope


_SCHEMA = """
CREATE TABLE IF NOT EXISTS refresh_tokens (
  digest TEXT PRIMARY KEY, family TEXT NOT NULL, client_id TEXT NOT NULL, sub TEXT NOT NULL,
  scope TEXT NOT NULL, expires_at INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refresh_tokens_family ON refresh_tokens (family);
CREATE TABLE IF NOT EXISTS revoked_access_tokens (
  jti TEXT PRIMARY KEY, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
"""


class TokenStore:
    """Refresh tokens in a small SQLite file, by their digests, so that logins survive a restart.

    Each is good for one use. A second use means that somebody else has a copy: the whole login
    that it stems from ends then (RFC 9700, section 4.14.2). Beside them it remembers which access
    tokens were taken back.
    """

    def __init__(self, path: Path, lifetime_s: int) -> None:
        self._path = path
        self._lifetime_s = lifetime_s
        # Create it with the right mode before SQLite would with the wrong one.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with closing(self._connect()) as connection:
            connection.executescript(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)

    def add(self, secret: str, family: str, client_id: str, sub: str, scope: str) -> None:
        """Keep a new token and forget those that expired, or the oldest beyond the limit."""
        now = int(time.time())
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, ?, ?, 0)",
                (_digest(secret), family, client_id, sub, scope, now + self._lifetime_s),
            )
            connection.execute("DELETE FROM refresh_tokens WHERE expires_at <= ?", (now,))
            connection.execute(
                "DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens"
                " ORDER BY expires_at DESC LIMIT -1 OFFSET ?)",
                (_MOST_REFRESH_TOKENS,),
            )

    def find(self, secret: str) -> RefreshToken | None:
        """The token with this secret, used or not."""
        with closing(self._connect()) as connection:
            row = connection.execute(
                "SELECT digest, family, client_id, sub, scope FROM refresh_tokens"
                " WHERE digest = ? AND expires_at > ?",
                (_digest(secret), int(time.time())),
            ).fetchone()
        return RefreshToken(*row) if row else None

    def use(self, token: RefreshToken) -> bool:
        """Use the token up; False, and the end of the login, when it was used before."""
        with closing(self._connect()) as connection, connection:
            first = connection.execute(
                "UPDATE refresh_tokens SET used = 1 WHERE digest = ? AND used = 0", (token.digest,)
            )
            if first.rowcount == 1:
                return True
        self.end_login(token.family)
        return False

    def end_login(self, family: str) -> None:
        """Forget every token of one login."""
        with closing(self._connect()) as connection, connection:
            connection.execute("DELETE FROM refresh_tokens WHERE family = ?", (family,))

    def revoke(self, jti: str, expires_at: int) -> None:
        """Remember that an access token was taken back, for as long as it would be good."""
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "INSERT OR IGNORE INTO revoked_access_tokens VALUES (?, ?)", (jti, expires_at)
            )
            connection.execute(
                "DELETE FROM revoked_access_tokens WHERE expires_at <= ?", (int(time.time()),)
            )

    def is_revoked(self, jti: str) -> bool:
        """Whether an access token was taken back."""
        with closing(self._connect()) as connection:
            query = "SELECT 1 FROM revoked_access_tokens WHERE jti = ?"
            return connection.execute(query, (jti,)).fetchone() is not None
