"""Headers that would choose another key, or change what is verified; texts that are no token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.security.forging import (
    AtIssuer,
    Forgery,
    before,
    beside,
    flattened,
    instead,
    loosened,
    nested,
    part,
    stranger_jwk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Each would name a key of the attacker's choice to a verifier that follows it.
_KEY_IDS: Mapping[str, Any] = {
    "missing": None,
    "empty": "",
    "a number": 1,
    "a list": ["rsa"],
    "an object": {"kid": "rsa"},
    "true": True,
    "unknown": "nobody",
    "a path": "../../../../dev/null",
    "an absolute path": "/dev/null",
    "a path of the process": "/proc/sys/kernel/randomize_va_space",
    "a file URL": "file:///dev/null",
    "a URL": "http://127.0.0.1:1/key",
    "SQL": "rsa' UNION SELECT 'secret'; --",
    "a shell command": "rsa | id",
    "LDAP": "*)(uid=*",
    "a template": "{{7*7}} ${jndi:ldap://127.0.0.1/a} %s%n",
    "a null byte": "rsa\0",
    "a line end": "rsa\r\nx: y",
    "in capitals": "RSA",
    "with a space": "rsa ",
    "a homoglyph": "r\u0455a",
    "a prototype": "__proto__",
    "of two thousand letters": "k" * 1990,
}
_VALUES: Mapping[str, Any] = {
    "jku": AtIssuer("{url}/jwks"),
    "x5u": AtIssuer("{url}/certificate"),
    "x5c": ["MIIB"],
    "x5t": "c2hh",
    "x5t#S256": "c2hh",
    "crit": ["exp"],
    "b64": False,
    "zip": "DEF",
    "enc": "A128GCM",
    "cty": "JWT",
}
_TYPES: Mapping[str, Any] = {
    "missing": None, "empty": "", "JOSE": "JOSE", "JWE": "JWE", "logout+jwt": "logout+jwt",
    "id_token": "id_token", "dpop+jwt": "dpop+jwt", "secevent+jwt": "secevent+jwt",
    "oauth-authz-req+jwt": "oauth-authz-req+jwt", "none": "none",
    "of a gateway's token": "studbook+jwt", "of an assertion": "studbook-assertion+jwt",
    "a number": 7, "a list": ["at+jwt"], "twice application": "application/application/at+jwt",
    "with a parameter": "at+jwt; charset=utf-8",
}  # fmt: skip


def _tricks() -> Iterator[tuple[str, Forgery]]:
    for name, kid in _KEY_IDS.items():
        yield f"kid {name}", Forgery({"kid": kid}, key="stranger")
    for name, value in _VALUES.items():
        yield f"header {name}", Forgery({name: value})
    for name, value in _TYPES.items():
        yield f"typ {name}", Forgery({"typ": value})


def _texts() -> Iterator[tuple[str, Forgery]]:
    """No compact JWS, or not in its one form."""
    whole: Mapping[str, str] = {
        "garbage": "garbage", "two dots": "..", "three letters": "a.b.c", "a dot": ".",
        "JSON": "{}", "an API key": "sk-0123456789abcdef", "null": "null",
    }  # fmt: skip
    for name, text in whole.items():
        yield f"{name} for a token", Forgery(edit=lambda _, text=text: text)  # type: ignore[misc] # told apart by the default
    edits: Mapping[str, Any] = {
        "two parts": lambda token: token.rpartition(".")[0],
        "four parts": lambda token: token + ".",
        "five parts, as JWE has": lambda token: token + ".a.b",
        "padded signature": lambda token: token + "=",
        "padded header": part(0, lambda text: text + "=="),
        "white space before": lambda token: " " + token,
        "white space within": lambda token: token.replace(".", " .", 1),
        "comma and another": lambda token: f"{token},{token}",
        "scheme twice": lambda token: f"Bearer {token}",
        "in quotes": lambda token: f'"{token}"',
        "percent escapes": lambda token: token.replace(".", "%2E"),
        "standard base64": part(2, lambda text: "+/" + text[2:]),
        "bits that decoders ignore": loosened,
        "detached payload": part(1, lambda _: ""),
        "JSON serialisation": flattened,
        "a token in a token": nested,
        "of 9 000 letters": lambda token: token + "A" * 9000,
    }
    for name, edit in edits.items():
        yield name, Forgery(edit=edit)


TRICKS: Mapping[str, Forgery] = {
    **dict(_tricks()),
    **dict(_texts()),
    # CVE-2018-0114: a key that the token brings along.
    "jwk of the attacker's": Forgery({"jwk": stranger_jwk()}, key="stranger"),
    "jku of the attacker's": Forgery({"jku": "http://127.0.0.1:1/jwks"}, key="stranger"),
    "crit empty": Forgery({"crit": []}),
    "crit with b64": Forgery({"crit": ["b64"], "b64": True}),
    "crit unknown": Forgery({"crit": ["x"], "x": 1}),
    "header of 3 000 letters": Forgery({"pad": "x" * 3000}),
    "kid twice": Forgery(spell_header=beside('"kid": "ec"')),
    "alg twice": Forgery(spell_header=before('"alg": "none"')),
    "alg twice by an escape": Forgery(spell_header=before('"\\u0061lg": "none"')),
    "header a list": Forgery(spell_header=instead("[]")),
    "header a text": Forgery(spell_header=instead('"alg"')),
    "header null": Forgery(spell_header=instead("null")),
    "header no JSON": Forgery(spell_header=instead("alg: RS256")),
    "header no UTF-8": Forgery(spell_header=lambda text: text.replace(b"rsa", b"\xff\xfe")),
    "header with a byte order mark": Forgery(spell_header=lambda text: b"\xef\xbb\xbf" + text),
    "header in UTF-16": Forgery(spell_header=lambda text: text.decode().encode("utf-16")),
    "header with a comment": Forgery(spell_header=lambda text: text + b"/* */"),
    "header of two objects": Forgery(spell_header=lambda text: text + text),
    "header nested deeply": Forgery(
        spell_header=beside('"x": ' + "[" * 900 + "]" * 900),
    ),
}
