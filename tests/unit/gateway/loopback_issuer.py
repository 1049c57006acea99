"""An issuer on loopback with real keys, which can be made to misbehave, and tokens of all kinds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.access_rules import AccessRules, load_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from service_chassis.certificates import CertificatePair

AUDIENCE = "https://studbook.example"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """A key that is made once in a process."""
    del number
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(number: int = 0, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    del number
    return ec.generate_private_key(_CURVES[curve])


_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@cache
def ed_key(number: int = 0) -> Ed25519PrivateKey:
    del number
    return Ed25519PrivateKey.generate()


def public_jwk(key: Key, kid: str, **members: Any) -> dict[str, Any]:
    """The public half as an issuer publishes it; a member that is None is left out."""
    kinds: dict[type, Any] = {rsa.RSAPrivateKey: RSAKey, Ed25519PrivateKey: OKPKey}
    kind = next((kind for of, kind in kinds.items() if isinstance(key, of)), ECKey)
    public: Any = key.public_key()
    jwk = kind.import_key(public).as_dict(private=False)
    all_members = {**jwk, "kid": kid, "use": "sig", **members}
    return {name: value for name, value in all_members.items() if value is not None}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _hash(algorithm: str) -> hashes.HashAlgorithm:
    return {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]


def signature(key: Key | bytes, algorithm: str, data: bytes) -> bytes:
    if isinstance(key, bytes):
        return hmac.new(key, data, hashlib.sha256).digest()
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey) and algorithm.startswith("PS"):
        digest = _hash(algorithm)
        return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), _hash(algorithm))
    size = (key.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_hash(algorithm))))
    return r.to_bytes(size) + s.to_bytes(size)


def compact(
    header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, key: Key | bytes, algorithm: str
) -> str:
    """A JWS over exactly these bytes."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)
    ]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(signature(key, algorithm, signed.encode()))}"


def good_claims(issuer: str, **changes: Any) -> dict[str, Any]:
    """Claims of a good access token, with some changed; None takes one away."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "sub": "ada",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "client_id": "studbook-cli",
        "name": "Ada",
        "groups": ["data-science"],
        "jti": "t1",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        issuer: LoopbackIssuer = self.server.issuer  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        issuer.posts.append((self.headers["Authorization"], body))
        self.do_GET()

    def do_GET(self) -> None:
        issuer: LoopbackIssuer = self.server.issuer  # type: ignore[attr-defined]
        issuer.requests.append(self.path)
        issuer.before_answer()
        status, body, headers = issuer.answer(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class LoopbackIssuer:
    """Publishes a discovery document and a key set. Use as a context manager.

    Args:
        pair: Its certificate, for `localhost`; default: it speaks plain HTTP.
    """

    def __init__(self, pair: CertificatePair | None = None) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.issuer = self  # type: ignore[attr-defined]
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if pair is not None:
            self.show(pair)
            # Hands are shaken in the thread of each request, so that one that fails stops nobody.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.origin = f"https://localhost:{self._server.server_port}"
        self.url = f"{self.origin}/main"
        self.requests: list[str] = []
        # Of each POST what authenticates it, and its body.
        self.posts: list[tuple[str, str]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.keys: list[dict[str, Any]] = [
            public_jwk(rsa_key(), "rsa", alg="RS256"),
            public_jwk(ec_key(), "ec", alg="ES256"),
        ]
        self.discovery: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        # Answers that differ from the rule: status, body, headers by path.
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        documents = {
            "/main/.well-known/openid-configuration": self.discovery,
            "/main/jwks": {"keys": self.keys},
        }
        if path in self.answers:
            return self.answers[path]
        if path in documents:
            return 200, json.dumps(documents[path]).encode(), {}
        return 404, b"", {}

    def show(self, pair: CertificatePair) -> None:
        """Show another certificate from now on."""
        self._tls.load_cert_chain(pair.certificate, pair.private_key)

    @property
    def key_fetches(self) -> int:
        return self.requests.count("/main/jwks")

    def token(
        self,
        *,
        key: Key | bytes | None = None,
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A token that is good except for the changes."""
        if key is None:
            key = rsa_key() if algorithm.startswith("RS") else ec_key()
        members = {
            "alg": algorithm,
            "kid": "rsa" if algorithm.startswith("RS") else "ec",
            "typ": "at+jwt",
            **(header or {}),
        }
        members = {name: value for name, value in members.items() if value is not None}
        return compact(members, good_claims(self.url, **changes), key, algorithm)


def rules_for(url: str, *, kind: str = "people", more: str = "", rest: str = "") -> AccessRules:
    """Access rules with one issuer, `dev`.

    Args:
        url: Its URL.
        kind: `people` or `pipelines`.
        more: Further lines of the issuer, indented by four.
        rest: Further lines of the file.
    """
    return load_rules(
        f"""
version: 1
issuers:
  dev:
    url: {url}
    kind: {kind}
    audience: {AUDIENCE}
{more}
{rest}
"""
    )
