"""Tokens that must be refused, each for the reason beside it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit.gateway.loopback_issuer import (
    AUDIENCE,
    LoopbackIssuer,
    b64,
    compact,
    ec_key,
    good_claims,
    public_jwk,
    rsa_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID, EXPIRED = "TOKEN_INVALID", "TOKEN_EXPIRED"
AUDIENCE_WRONG, ISSUER_WRONG = "AUDIENCE_MISMATCH", "ISSUER_UNKNOWN"
Case = tuple[str, str, str]


def malformed(issuer: LoopbackIssuer) -> Iterator[Case]:
    """Not one compact JWS in its canonical form."""
    good = issuer.token()
    header, claims, sign = good.split(".")
    yield "empty parts", "..", INVALID
    yield "garbage", "garbage", INVALID
    yield "two parts", f"{header}.{claims}", INVALID
    yield "JWE", f"{good}.a.b", INVALID
    yield "padded signature", f"{good}=", INVALID
    yield "padded header", f"{header}==.{claims}.{sign}", INVALID
    yield "white space", f" {good}", INVALID
    yield "line end", f"{good}\n", INVALID
    yield "scheme twice", f"Bearer {good}", INVALID
    yield "standard alphabet", f"{header}.{claims}.{'+/' + sign[2:]}", INVALID
    yield "loose bits", _loosened(good), INVALID
    yield "not ASCII", good[:-1] + "é", INVALID
    yield "oversized", issuer.token(padding="x" * 8192), INVALID
    yield "oversized header", issuer.token(header={"pad": "x" * 2100}), INVALID
    yield "signature cut", good[:-8], INVALID
    yield (
        "claims of another",
        ".".join((header, issuer.token(sub="max").split(".")[1], sign)),
        (INVALID),
    )


def _loosened(token: str) -> str:
    """The same token with a bit set that decoders ignore."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 bytes leave four unused bits in the last character.
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def bad_json(issuer: LoopbackIssuer) -> Iterator[Case]:
    """JSON that two readers could understand differently."""
    head: dict[str, Any] = {"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}
    claims = good_claims(issuer.url)
    text = json.dumps(claims)

    def signed(claims: str | bytes, header: dict[str, Any] | bytes = head) -> str:
        data = claims if isinstance(claims, bytes) else claims.encode()
        return compact(header, data, rsa_key(), "RS256")

    yield "duplicate sub", signed(text[:-1] + ', "sub": "admin"}'), INVALID
    yield "duplicate deep inside", signed(text[:-1] + ', "x": {"a": 1, "a": 2}}'), INVALID
    duplicate = b'{"alg":"RS256","kid":"rsa","typ":"at+jwt","kid":"ec"}'
    yield "duplicate kid", signed(text, duplicate), INVALID
    yield "exp is NaN", signed(json.dumps({**claims, "exp": float("nan")})), INVALID
    yield "infinity", signed(text[:-1] + ', "x": -Infinity}'), INVALID
    yield "huge number", signed(text[:-1] + f', "x": {"9" * 400}}}'), INVALID
    yield "deep", signed(text[:-1] + f', "x": {"[" * 600}{"]" * 600}}}'), INVALID
    yield "half a character", signed(text.replace('"ada"', '"\\ud800"')), INVALID
    yield "not UTF-8", signed(text.encode().replace(b"Ada", b"\xff\xfe")), INVALID
    yield "list", signed("[]"), INVALID
    yield "text", signed('"hello"'), INVALID
    yield "not JSON", signed("{sub: ada}"), INVALID
    yield "header is a list", signed(text, b"[]"), INVALID


def bad_algorithms(issuer: LoopbackIssuer) -> Iterator[Case]:
    """Signatures that prove nothing."""
    for spelling in ("none", "None", "NONE", "nOnE", "none "):
        claims = b64(json.dumps(good_claims(issuer.url)).encode())
        header = b64(json.dumps({"alg": spelling, "kid": "rsa", "typ": "at+jwt"}).encode())
        yield f"alg {spelling!r} unsigned", f"{header}.{claims}.", INVALID
        yield f"alg {spelling!r} signed", issuer.token(header={"alg": spelling}), INVALID
    public = rsa_key().public_key()
    for name, encoding, form in (
        ("PEM", Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ("PKCS1", Encoding.PEM, PublicFormat.PKCS1),
        ("DER", Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        ("SSH", Encoding.OpenSSH, PublicFormat.OpenSSH),
    ):
        secret = public.public_bytes(encoding, form)
        token = issuer.token(algorithm="HS256", key=secret, header={"kid": "rsa"})
        yield f"HS256 with public key as {name}", token, INVALID
    yield "alg missing", issuer.token(header={"alg": None}), INVALID
    yield "alg is a list", issuer.token(header={"alg": ["RS256"]}), INVALID
    yield "alg not allowed here", issuer.token(algorithm="RS512"), INVALID
    yield "PS256", issuer.token(header={"alg": "PS256"}), INVALID
    yield (
        "ES256 with an RSA key id",
        issuer.token(algorithm="ES256", header={"kid": "rsa"}),
        (INVALID),
    )
    yield "RS256 with an EC key id", issuer.token(header={"kid": "ec"}), INVALID
    other_curve = issuer.token(algorithm="ES256", key=ec_key(0, "P-384"))
    yield "ES256 with P-384", other_curve, INVALID


def bad_headers(issuer: LoopbackIssuer) -> Iterator[Case]:
    """Headers that would choose another key, or change what is verified."""
    own = public_jwk(rsa_key(7), "rsa")
    yield "kid missing", issuer.token(header={"kid": None}), INVALID
    yield "kid empty", issuer.token(header={"kid": ""}), INVALID
    yield "kid a number", issuer.token(header={"kid": 1}), INVALID
    yield "kid a path", issuer.token(header={"kid": "../../dev/null"}), INVALID
    yield "unknown kid", issuer.token(header={"kid": "nobody"}), INVALID
    yield "unknown key", issuer.token(key=rsa_key(7)), INVALID
    yield "brings its own key", issuer.token(key=rsa_key(7), header={"jwk": own}), INVALID
    for name, value in (
        ("crit", ["exp"]),
        ("b64", False),
        ("jku", issuer.url),
        ("x5u", issuer.url),
        ("x5c", []),
        ("zip", "DEF"),
        ("cty", "JWT"),
        ("enc", "A128GCM"),
    ):
        yield f"header {name}", issuer.token(header={name: value}), INVALID
    for kind in ("JOSE", "logout+jwt", "id_token", "dpop+jwt", 7):
        yield f"typ {kind}", issuer.token(header={"typ": kind}), INVALID
    yield "typ missing", issuer.token(header={"typ": None}), INVALID


def bad_claims(issuer: LoopbackIssuer) -> Iterator[Case]:
    """Genuine tokens that are not for us, not now, or not for this."""
    now = int(time.time())
    yield "expired", issuer.token(iat=now - 900, exp=now - 600), EXPIRED
    yield "expired beyond leeway", issuer.token(iat=now - 900, exp=now - 62), EXPIRED
    yield "exp missing", issuer.token(exp=None), INVALID
    yield "exp as text", issuer.token(exp=str(now + 300)), INVALID
    yield "exp true", issuer.token(exp=True), INVALID
    yield "exp far off", issuer.token(exp=10**15), INVALID
    yield "exp negative", issuer.token(exp=-1), INVALID
    yield "iat missing", issuer.token(iat=None), INVALID
    yield "iat tomorrow", issuer.token(iat=now + 86_400, exp=now + 86_700), INVALID
    yield "exp before iat", issuer.token(iat=now + 50, exp=now + 20), INVALID
    yield "good for too long", issuer.token(exp=now + 100_000), INVALID
    yield "not yet", issuer.token(nbf=now + 200), INVALID
    yield "nbf as text", issuer.token(nbf="now"), INVALID
    yield "aud missing", issuer.token(aud=None), AUDIENCE_WRONG
    yield "aud of another", issuer.token(aud="https://elsewhere.example"), AUDIENCE_WRONG
    yield (
        "aud with another",
        issuer.token(aud=[AUDIENCE, "https://elsewhere.example"]),
        (AUDIENCE_WRONG),
    )
    yield "aud prefix", issuer.token(aud=AUDIENCE + ".evil.example"), AUDIENCE_WRONG
    yield "aud object", issuer.token(aud={AUDIENCE: 1}), AUDIENCE_WRONG
    yield "aud empty list", issuer.token(aud=[]), AUDIENCE_WRONG
    yield "iss missing", issuer.token(iss=None), INVALID
    yield "iss of another", issuer.token(iss="https://elsewhere.example"), ISSUER_WRONG
    yield "iss with slash", issuer.token(iss=issuer.url + "/"), ISSUER_WRONG
    yield "iss in capitals", issuer.token(iss=issuer.url.upper()), ISSUER_WRONG
    yield "iss a list", issuer.token(iss=[issuer.url]), INVALID
    yield "sub missing", issuer.token(sub=None), INVALID
    yield "sub empty", issuer.token(sub=""), INVALID
    yield "sub a number", issuer.token(sub=7), INVALID
    yield "sub with a line end", issuer.token(sub="ada\nmax"), INVALID
    yield "sub with a space", issuer.token(sub="ada "), INVALID
    for claim in ("nonce", "at_hash", "c_hash"):
        id_token: dict[str, Any] = {claim: "x"}
        yield f"ID token by {claim}", issuer.token(**id_token), INVALID
    for kind in ("ID", "Refresh", "Logout"):
        yield f"payload typ {kind}", issuer.token(typ=kind), INVALID
    yield "payload token_use", issuer.token(token_use="id"), INVALID
    yield "logout token", issuer.token(events={"x": {}}), INVALID
    yield "azp of another", issuer.token(azp="other"), INVALID


def corpus(issuer: LoopbackIssuer) -> list[Case]:
    """All of them: what is wrong, the token, the reason that its sender learns."""
    return [
        case
        for part in (malformed, bad_json, bad_algorithms, bad_headers, bad_claims)
        for case in part(issuer)
    ]


def good_corpus(issuer: LoopbackIssuer) -> list[tuple[str, str]]:
    """Tokens that must be accepted."""
    now = int(time.time())
    return [
        ("RS256", issuer.token()),
        ("ES256", issuer.token(algorithm="ES256")),
        ("typ JWT", issuer.token(header={"typ": "JWT"})),
        ("typ in full", issuer.token(header={"typ": "application/at+jwt"})),
        ("audience in a list", issuer.token(aud=[AUDIENCE])),
        ("fractions of seconds", issuer.token(exp=now + 200.5)),
        ("within leeway", issuer.token(iat=now - 300, exp=now - 30)),
        ("clock ahead", issuer.token(iat=now + 30, nbf=now + 30, exp=now + 300)),
        ("azp alone", issuer.token(azp="studbook-cli", client_id=None)),
        ("unknown header", issuer.token(header={"rh": "0.A"})),
    ]
