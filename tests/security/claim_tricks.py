"""Genuine tokens that are not for us, not now, or not for this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.security.forging import (
    AUDIENCE_WRONG,
    EXPIRED,
    ISSUER_WRONG,
    AtIssuer,
    Forgery,
    FromNow,
    before,
    beside,
    instead,
)
from tests.unit.gateway.loopback_issuer import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ELSEWHERE = "https://elsewhere.example"
_WRONG: Mapping[str, Any] = {"as text": "1", "true": True, "null list": [None], "an object": {}}
_TIMES: Mapping[str, Any] = {
    **_WRONG, "negative": -1, "zero": 0, "in milliseconds": FromNow(1.7e12), "far off": 10**15,
}  # fmt: skip
_AUDIENCES: Mapping[str, Any] = {
    "missing": None,
    "empty": "",
    "an empty list": [],
    "of another": _ELSEWHERE,
    "ours and another's": [AUDIENCE, _ELSEWHERE],
    "ours beside a number": [AUDIENCE, 7],
    "longer than ours": AUDIENCE + ".evil.example",
    "shorter than ours": AUDIENCE[:-1],
    "with a slash": AUDIENCE + "/",
    "in capitals": AUDIENCE.upper(),
    "a homoglyph": AUDIENCE.replace("o", "\u043e"),
    "ours and another's in one text": f"{AUDIENCE} {_ELSEWHERE}",
    "ours in a list in a list": [[AUDIENCE]],
    "an object": {AUDIENCE: 1},
    "a number": 7,
    "true": True,
    "of the login's client": "studbook-cli",
}
_ISSUERS: Mapping[str, Any] = {
    "of another": _ELSEWHERE,
    "with a slash": AtIssuer("{url}/"),
    "with a query": AtIssuer("{url}?a"),
    "with a fragment": AtIssuer("{url}#a"),
    "with a user": AtIssuer("http://x@{url}"),
    "with a space": AtIssuer("{url} "),
    "climbing": AtIssuer("{url}/../main"),
    "with an escape": AtIssuer("{url}%2F"),
    "with a null byte": AtIssuer("{url}\0"),
    "with a homoglyph": AtIssuer("{url}\u0430"),
    "of this gateway": "studbook-gateway",
}
_SUBJECTS: Mapping[str, Any] = {
    "missing": None, "empty": "", "a number": 7, "a list": ["olga"], "an object": {"sub": "olga"},
    "true": True, "with a line end": "olga\n", "with a space": "olga ", "with a null": "olga\0",
    "with a no-break space": "\u00a0olga", "with a zero-width space": "ol\u200bga",
    "written backwards": "\u202eaglo", "of 300 letters": "o" * 300,
}  # fmt: skip
# What only tokens for other purposes have.
_PURPOSES: Mapping[str, Mapping[str, Any]] = {
    "ID token by nonce": {"nonce": "x"},
    "ID token by at_hash": {"at_hash": "x"},
    "ID token by c_hash": {"c_hash": "x"},
    "ID token by s_hash": {"s_hash": "x"},
    "ID token by typ": {"typ": "ID"},
    "ID token by token_use": {"token_use": "id"},
    "refresh token": {"typ": "Refresh"},
    "offline token": {"typ": "Offline"},
    "logout token by typ": {"typ": "Logout"},
    "logout token by events": {
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}}
    },
}
_CLIENTS: Mapping[str, Mapping[str, Any]] = {
    "client_id of another": {"client_id": "evil-app"},
    "azp of another": {"azp": "evil-app"},
    "azp of another alone": {"azp": "evil-app", "client_id": None},
    "no client": {"client_id": None},
    "client_id a list": {"client_id": ["studbook-cli"]},
    "client_id null beside azp": {"client_id": [], "azp": "studbook-cli"},
    "client in capitals": {"client_id": "STUDBOOK-CLI"},
    # A person who logs in through the client of a service is not the service.
    "person with a service's client": {"client_id": "serving", "sub": "ada"},
}


def _tricks() -> Iterator[tuple[str, Forgery]]:
    for claim in ("exp", "iat", "nbf"):
        for name, value in _TIMES.items():
            yield f"{claim} {name}", Forgery(claims={claim: value})
    for name, value in _AUDIENCES.items():
        yield f"aud {name}", Forgery(claims={"aud": value}, reason=AUDIENCE_WRONG)
    for name, value in _ISSUERS.items():
        yield f"iss {name}", Forgery(claims={"iss": value}, reason=ISSUER_WRONG)
    for name, value in _SUBJECTS.items():
        yield f"sub {name}", Forgery(claims={"sub": value})
    for name, claims in {**_PURPOSES, **_CLIENTS}.items():
        yield name, Forgery(claims=claims)
    for constant in ("NaN", "Infinity", "-Infinity"):
        yield f"{constant} beside the claims", Forgery(spell=beside(f'"x": {constant}'))


TRICKS: Mapping[str, Forgery] = {
    **dict(_tricks()),
    "exp missing": Forgery(claims={"exp": None}),
    "iat missing": Forgery(claims={"iat": None}),
    "expired an hour ago": Forgery(
        claims={"iat": FromNow(-7200), "exp": FromNow(-3600)}, reason=EXPIRED
    ),
    "expired one second beyond the leeway": Forgery(
        claims={"iat": FromNow(-900), "exp": FromNow(-61)}, reason=EXPIRED
    ),
    "iat one minute beyond the leeway": Forgery(claims={"iat": FromNow(120), "exp": FromNow(300)}),
    "iat tomorrow": Forgery(claims={"iat": FromNow(86_400), "exp": FromNow(86_700)}),
    "nbf one minute beyond the leeway": Forgery(claims={"nbf": FromNow(120)}),
    "nbf in the year 2242": Forgery(claims={"nbf": 2**33}),
    "exp before iat": Forgery(claims={"iat": FromNow(50), "exp": FromNow(20)}),
    "exp equal to iat": Forgery(claims={"iat": FromNow(0), "exp": FromNow(0)}),
    "good for two days": Forgery(claims={"exp": FromNow(172_800)}),
    "exp NaN": Forgery(claims={"exp": float("nan")}),
    "exp infinite": Forgery(claims={"exp": float("inf")}),
    "exp 1e400": Forgery(spell=lambda text: text.replace(b'"exp": ', b'"exp": 1e400, "x": ')),
    "exp of 400 digits": Forgery(
        spell=lambda text: text.replace(b'"exp": ', b'"exp": ' + b"9" * 400)
    ),
    "exp of 5000 digits": Forgery(
        spell=lambda text: text.replace(b'"exp": ', b'"exp": ' + b"9" * 5000)
    ),
    "sub twice, the last an administrator": Forgery(spell=beside('"sub": "olga"')),
    "sub twice, the first an administrator": Forgery(spell=before('"sub": "olga"')),
    "sub twice by an escape": Forgery(spell=beside('"\\u0073ub": "olga"')),
    "aud twice": Forgery(spell=before(f'"aud": "{_ELSEWHERE}"')),
    "exp twice": Forgery(spell=beside('"exp": 4102444800')),
    "member twice deep inside": Forgery(spell=beside('"x": {"a": 1, "a": 2}')),
    "iss missing": Forgery(claims={"iss": None}),
    "iss empty": Forgery(claims={"iss": ""}),
    "iss a list": Forgery(claims={"iss": [_ELSEWHERE]}),
    "iss a number": Forgery(claims={"iss": 7}),
    "iss twice": Forgery(spell=before(f'"iss": "{_ELSEWHERE}"')),
    "claims a list": Forgery(spell=instead("[]")),
    "claims a text": Forgery(spell=instead('"olga"')),
    "claims null": Forgery(spell=instead("null")),
    "claims no JSON": Forgery(spell=instead("{sub: olga}")),
    "claims with single quotes": Forgery(spell=lambda text: text.replace(b'"', b"'")),
    "claims with a comma too many": Forgery(spell=lambda text: text[:-1] + b",}"),
    "claims nested deeply": Forgery(spell=beside(f'"x": {"[" * 900}{"]" * 900}')),
    "claims nested deeply in objects": Forgery(
        spell=beside('"x": ' + '{"a":' * 600 + "1" + "}" * 600)
    ),
    "claims no UTF-8": Forgery(spell=lambda text: text.replace(b"Ada", b"\xff\xfe")),
    "claims with overlong UTF-8": Forgery(spell=lambda text: text.replace(b"Ada", b"\xc1\xa1")),
    "claims in UTF-16": Forgery(spell=lambda text: text.decode().encode("utf-16-be")),
    "half a character": Forgery(spell=lambda text: text.replace(b'"ada"', b'"\\ud800"')),
    "line end in a text": Forgery(spell=lambda text: text.replace(b"Ada", b"A\na")),
}
