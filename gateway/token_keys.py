"""The keys of the tokens that the gateway itself gives, in exchange for those of CI systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE = "studbook+jwt"
_ALGORITHM = "Ed25519"
_END = b"-----END PRIVATE KEY-----"


class TokenKeys:
    """Signs the gateway's tokens, and knows its signatures again.

    Args:
        pem: Ed25519 private keys (PEM), one after another. The first signs, all verify, so that a
            key can be replaced without an interruption.

    Raises:
        ValueError: There is no key, or another kind of key.
    """

    def __init__(self, pem: bytes) -> None:
        keys = [OKPKey.import_key(block + _END) for block in pem.split(_END) if block.strip()]
        if not keys or any(key.curve_name != "Ed25519" or not key.is_private for key in keys):
            message = "needs one or more Ed25519 private keys"
            raise ValueError(message)
        self._keys = {key.thumbprint(): key for key in keys}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with these claims."""
        key_id, key = next(iter(self._keys.items()))
        header = {"alg": _ALGORITHM, "typ": TYPE, "kid": key_id}
        return jwt.encode(header, dict(claims), key, algorithms=[_ALGORITHM])

    def has_signed(self, token: str, key_id: str) -> bool:
        """Whether a compact JWS is signed with the key of this id."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            jws.deserialize_compact(token, key, algorithms=[_ALGORITHM])
        except (JoseError, ValueError):
            return False
        return True
