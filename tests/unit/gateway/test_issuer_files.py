"""Files that `access.yaml` names for an issuer: its authorities, and its keys."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from gateway.access_checks import AccessFileError
from gateway.introspection import Introspector
from gateway.issuer_files import LARGEST_KEY_SET, check_issuer_files
from gateway.signing_keys import IssuerKeys, SigningKeys
from gateway.token_verifier import TokenVerifier
from gateway.web.provider import Providers
from service_chassis.errors import StudbookError
from tests.unit.certificate_authority import Authority
from tests.unit.gateway.loopback_issuer import (
    AUDIENCE,
    LoopbackIssuer,
    ec_key,
    public_jwk,
    rsa_key,
    rules_for,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

AUTHORITY, OTHER = Authority(), Authority("another authority")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[LoopbackIssuer]:
    """An issuer whose certificate no system knows."""
    with LoopbackIssuer(AUTHORITY.issue(tmp_path, "issuer")) as issuer:
        yield issuer


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "issuer-ca.pem"
    path.write_bytes(AUTHORITY.pem())
    return path


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def found(keys: IssuerKeys, key_id: str, algorithm: str = "RS256") -> str:
    """What becomes of a token with this key id."""
    try:
        await keys.find(key_id, algorithm)
    except StudbookError as error:
        return error.reason
    return "found"


def with_keys(url: str, more: str, test: Callable[[IssuerKeys, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Clock()
        keys = IssuerKeys(rules_for(url, more=more).issuers[url], clock=clock)
        try:
            async with asyncio.timeout(30):
                await test(keys, clock)
        finally:
            await keys.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("authority", "expected"),
    [(AUTHORITY, "found"), (OTHER, "ISSUER_UNAVAILABLE"), (None, "ISSUER_UNAVAILABLE")],
    ids=["its own", "another", "the system's"],
)
def test_issuer_is_believed_whose_certificate_the_file_vouches_for(
    secured: LoopbackIssuer, ca_file: Path, authority: Authority | None, expected: str
) -> None:
    more = f"    ca_file: {ca_file}" if authority else ""
    ca_file.write_bytes((authority or AUTHORITY).pem())

    async def test(keys: IssuerKeys, _: Clock) -> None:
        assert await found(keys, "rsa") == expected

    with_keys(secured.url, more, test)


def test_certificate_of_another_host_is_refused(tmp_path: Path, ca_file: Path) -> None:
    pair = AUTHORITY.issue(tmp_path, "issuer", host="elsewhere.example")

    async def test(keys: IssuerKeys, _: Clock) -> None:
        assert await found(keys, "rsa") == "ISSUER_UNAVAILABLE"

    with LoopbackIssuer(pair) as issuer:
        with_keys(issuer.url, f"    ca_file: {ca_file}", test)


def test_other_authorities_are_believed_once_they_are_on_disk(
    secured: LoopbackIssuer, ca_file: Path, tmp_path: Path
) -> None:
    async def next_key(keys: IssuerKeys, clock: Clock, name: str) -> str:
        secured.keys.append(public_jwk(rsa_key(), name))
        clock.now += 61
        return await found(keys, name)

    async def test(keys: IssuerKeys, clock: Clock) -> None:
        assert await found(keys, "rsa") == "found"
        secured.show(OTHER.issue(tmp_path, "renewed"))
        # The connection that there is stays good; the issuer closes it after each answer.
        assert await next_key(keys, clock, "second") == "TOKEN_INVALID"
        put(ca_file, b"nothing of use")
        assert await next_key(keys, clock, "third") == "TOKEN_INVALID"
        put(ca_file, OTHER.pem())
        assert await next_key(keys, clock, "fourth") == "found"
        put(ca_file, b"nothing of use")
        assert await next_key(keys, clock, "fifth") == "found"

    with_keys(secured.url, f"    ca_file: {ca_file}", test)


def test_opaque_tokens_are_asked_about_with_the_same_authorities(
    secured: LoopbackIssuer, ca_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    secured.discovery["introspection_endpoint"] = f"{secured.url}/introspect"
    secured.answers["/main/introspect"] = (200, b'{"active": false}', {})
    asked = f"    introspection: {{client_id: gateway, client_secret_file: {tmp_path}/secret}}"

    async def refusal(more: str) -> str:
        introspector = Introspector()
        with pytest.raises(StudbookError) as refused:
            await introspector.verify("opaque", rules_for(secured.url, more=more))
        await introspector.close()
        return refused.value.reason

    assert asyncio.run(refusal(f"{asked}\n    ca_file: {ca_file}")) == "TOKEN_INVALID"
    assert asyncio.run(refusal(asked)) == "ISSUER_UNAVAILABLE"


def test_people_log_in_with_the_same_authorities(secured: LoopbackIssuer, ca_file: Path) -> None:
    secured.discovery |= {
        "authorization_endpoint": f"{secured.url}/authorize",
        "token_endpoint": f"{secured.url}/token",
    }
    tokens = {"access_token": "t", "token_type": "Bearer"}
    secured.answers["/main/token"] = (200, json.dumps(tokens).encode(), {})
    web = "    web: {client_id: web}"

    async def token(more: str) -> str:
        provider = await Providers().get("dev", rules_for(secured.url, more=more))
        assert provider is not None
        return (await provider.redeem("code", "https://studbook.example/callback", "v")).access

    assert asyncio.run(token(f"{web}\n    ca_file: {ca_file}")) == "t"
    with pytest.raises(StudbookError, match="login provider"):
        asyncio.run(token(web))


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


# Nobody can be asked there.
UNREACHABLE = "https://issuer.invalid/main"


def test_token_of_an_issuer_that_cannot_be_reached(
    http_issuer: LoopbackIssuer, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(*http_issuer.keys))
    rules = rules_for(UNREACHABLE, more=f"    keys_file: {path}")

    async def run() -> None:
        keys = SigningKeys()
        keys.follow(rules)
        await keys.first_fetch()
        verified = await TokenVerifier(keys).verify(http_issuer.token(iss=UNREACHABLE), rules)
        assert verified.claims["aud"] == AUDIENCE
        with pytest.raises(StudbookError, match="cannot be verified"):
            await TokenVerifier(keys).verify(
                http_issuer.token(iss=UNREACHABLE, key=rsa_key(3)), rules
            )
        await keys.close()

    asyncio.run(run())
    assert http_issuer.requests == []


def test_keys_on_disk_are_used_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(public_jwk(rsa_key(1), "first")))

    async def until(
        looking: asyncio.Task[None], keys: IssuerKeys, key_id: str, expected: str
    ) -> None:
        while await found(keys, key_id) != expected:
            await asyncio.wait([looking], timeout=0.05)

    async def test(keys: IssuerKeys, clock: Clock) -> None:
        looking = asyncio.create_task(keys.keep_fresh())
        await until(looking, keys, "first", "found")
        path.write_text(key_set(public_jwk(rsa_key(1), "first"), public_jwk(rsa_key(2), "second")))
        await until(looking, keys, "second", "found")
        assert await found(keys, "first") == "found"
        path.write_text(key_set(public_jwk(rsa_key(2), "second")))
        await until(looking, keys, "first", "TOKEN_INVALID")
        # What cannot be used changes nothing.
        for fault in ("", "[]", "{}", key_set()[:-1], " " * (LARGEST_KEY_SET + 1)):
            path.write_text(fault)
            clock.now += 1
            assert not await keys.refresh()
            assert await found(keys, "second") == "found"
        path.unlink()
        clock.now += 1
        assert not await keys.refresh()
        assert await found(keys, "second") == "found"
        looking.cancel()

    with_keys(UNREACHABLE, f"    keys_file: {path}", test)


def test_key_that_is_replaced_under_its_name_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(public_jwk(rsa_key(1), "only")))

    async def test(keys: IssuerKeys, _: Clock) -> None:
        await keys.refresh()
        first = await keys.find("only", "RS256")
        await keys.refresh()
        assert await keys.find("only", "RS256") is first
        path.write_text(key_set(public_jwk(rsa_key(2), "only")))
        await keys.refresh()
        assert await keys.find("only", "RS256") is not first

    with_keys(UNREACHABLE, f"    keys_file: {path}", test)


PRIVATE = {**public_jwk(ec_key(), "ec"), "d": "AAAA"}


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("ca_file", None, "has no certificates (PEM) to read: [Errno 2]"),
        ("ca_file", "", "has no certificates (PEM) to read"),
        ("ca_file", "-----BEGIN CERTIFICATE-----\nAAAA\n", "has no certificates (PEM) to read"),
        ("keys_file", None, "has no key set (JWKS) to read: [Errno 2]"),
        ("keys_file", "keys: []", "has no key set (JWKS) to read: it is not JSON"),
        ("keys_file", "{}", "has no list `keys`"),
        ("keys_file", " " * (LARGEST_KEY_SET + 1), "it is larger than 262144 bytes"),
        ("keys_file", key_set(), "has no public key for RS256, ES256"),
        ("keys_file", key_set(PRIVATE), "has no public key for RS256, ES256"),
        ("keys_file", key_set(public_jwk(rsa_key(), "a", alg="RS512")), "correct `algorithms`"),
        ("keys_file", key_set(public_jwk(rsa_key(), "")), "with a `kid` of its own"),
    ],
)
def test_files_of_no_use_are_refused_with_the_rules(
    tmp_path: Path, setting: str, content: str | None, said: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    rules = rules_for(UNREACHABLE, more=f"    {setting}: {path}")
    with pytest.raises(AccessFileError) as refused:
        check_issuer_files(rules)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"issuers.dev.{setting}: {path} has no ")
    assert said in line


def test_authorities_of_an_issuer_in_plain_text_are_refused(ca_file: Path) -> None:
    with pytest.raises(AccessFileError, match=r"issuers\.dev\.ca_file: is for https"):
        rules_for("http://127.0.0.1/main", more=f"    ca_file: {ca_file}")


def test_file_is_checked_where_it_is_not(tmp_path: Path) -> None:
    """As in a pull request, on a machine that is not the gateway's."""
    shutil.rmtree(tmp_path)
    rules = rules_for(UNREACHABLE, more=f"    keys_file: {tmp_path}/keys.json")
    assert rules.file.issuers["dev"].keys_file == tmp_path / "keys.json"
