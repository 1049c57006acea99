"""Tokens for service accounts, by secret and by private key."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.dev_issuer.signing_key import SigningKey
from studbook.client_key import read_client_key
from studbook.credentials import default_token_source
from studbook.exceptions import FailedPrecondition, InvalidArgument, Unauthenticated, Unavailable
from studbook.identity.v1.identity_service_pb2 import LoginProvider
from studbook.service_account import ClientCredentials, from_environment
from studbook.stored_logins import Login
from tests.unit.scripted_provider import scripted_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.conftest import ServedIssuer
    from tests.unit.identity_server import Identity
    from tests.unit.scripted_provider import ScriptedProvider

pytestmark = pytest.mark.usefixtures("logins")

REFUSED = (401, {"error": "invalid_client"})
GIVEN = (200, {"access_token": "a.b.c", "expires_in": 300})


def pem_of(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def locked_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    lock = BestAvailableEncryption(b"password")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def subject(issuer: ServedIssuer, token: str | None) -> object:
    assert token is not None
    claims = SigningKey.read(issuer.config.signing_key).verified_claims(token, "at+jwt")
    return (claims or {}).get("sub")


class TestSecret:
    def account(self, address: str, issuer: ServedIssuer) -> ClientCredentials:
        return ClientCredentials(address, "serving", lambda: issuer.service_secret)

    def test_token_is_kept_until_it_is_due(self, address: str, issuer: ServedIssuer) -> None:
        source = self.account(address, issuer)

        assert subject(issuer, source.token()) == "serving"
        assert source.token() == source.token() == source.lasting_token()

    def test_for_a_stream_it_is_renewed_when_half_of_its_life_is_over(
        self, address: str, issuer: ServedIssuer
    ) -> None:
        source = self.account(address, issuer)
        token = source.token()
        assert source._login is not None
        now = time.time()
        source._login = replace(source._login, obtained_at=now - 1900, expires_at=now + 1700)

        assert source.token() == token
        assert source.lasting_token() != token

    def test_wrong_secret_says_which_variables(self, address: str) -> None:
        with pytest.raises(Unauthenticated, match="invalid_client") as caught:
            ClientCredentials(address, "serving", lambda: "wrong").token()

        assert "STUDBOOK_CLIENT_SECRET" in caught.value.next_step
        assert "wrong" not in str(caught.value)

    def test_token_outlives_an_outage(
        self, address: str, issuer: ServedIssuer, identity: Identity
    ) -> None:
        source = self.account(address, issuer)
        token = source.token()
        assert source._login is not None
        source._login = replace(source._login, expires_at=time.time() + 30)
        identity.providers[0].issuer = "http://127.0.0.1:9/gone"

        assert source.token() == token
        source._login = replace(source._login, expires_at=time.time() - 1)
        with pytest.raises(Unavailable, match="cannot be reached"):
            source.token()

    @pytest.mark.parametrize(
        ("methods", "in_body"),
        [
            (None, False),
            (["client_secret_basic", "client_secret_post"], False),
            (["client_secret_post", "private_key_jwt"], True),
        ],
    )
    def test_goes_where_the_provider_reads_it(
        self, address: str, identity: Identity, methods: list[str] | None, in_body: bool
    ) -> None:
        with scripted_provider() as provider:
            identity.providers[0].issuer = provider.issuer
            provider.document["token_endpoint_auth_methods_supported"] = methods
            provider.answers["/token"] = [GIVEN]
            ClientCredentials(address, "serving", lambda: "secret").token()

        assert ("client_secret" in provider.asked[0][1]) == in_body

    def test_may_hold_any_characters(self, address: str, identity: Identity) -> None:
        with scripted_provider() as provider:
            identity.providers[0].issuer = provider.issuer
            provider.answers["/token"] = [GIVEN]
            ClientCredentials(address, "a:b", lambda: "100% +ü:").token()

        scheme, _, encoded = provider.authorizations[0].partition(" ")
        assert scheme == "Basic"
        assert base64.b64decode(encoded) == b"a%3Ab:100%25%20%2B%C3%BC%3A"


class TestKey:
    def write(self, file: Path, key: ECKey | RSAKey, key_id: str) -> None:
        file.write_text(json.dumps({**key.as_dict(private=True), "kid": key_id}))

    @pytest.mark.parametrize("name", ["ec-1", "rsa-1"])
    def test_gets_a_token(self, address: str, issuer: ServedIssuer, name: str) -> None:
        key = read_client_key(issuer.key_file(name), name)
        source = ClientCredentials(address, "robot", lambda: key)

        assert subject(issuer, source.token()) == "robot"

    def test_as_a_json_web_key(self, address: str, issuer: ServedIssuer, tmp_path: Path) -> None:
        file = tmp_path / "key.json"
        self.write(file, ECKey.import_key(issuer.key_file("ec-1").read_bytes()), "ec-1")

        assert read_client_key(file).key_id == "ec-1"
        source = ClientCredentials(address, "robot", lambda: read_client_key(file))
        assert subject(issuer, source.token()) == "robot"

    def test_key_of_somebody_else(self, address: str, tmp_path: Path) -> None:
        file = tmp_path / "key.pem"
        file.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
        source = ClientCredentials(address, "robot", lambda: read_client_key(file, "ec-1"))

        with pytest.raises(Unauthenticated, match="invalid_client") as caught:
            source.token()
        assert "STUDBOOK_CLIENT_KEY_FILE" in caught.value.next_step

    def test_exchanged_key_is_used_for_the_next_token(
        self, address: str, issuer: ServedIssuer, tmp_path: Path
    ) -> None:
        file = tmp_path / "key.json"
        self.write(file, ECKey.import_key(issuer.key_file("ec-1").read_bytes()), "ec-1")
        source = ClientCredentials(address, "robot", lambda: read_client_key(file))
        source.token()
        self.write(file, RSAKey.import_key(issuer.key_file("rsa-1").read_bytes()), "rsa-1")
        source._login = Login("old", expires_at=0.0)

        assert subject(issuer, source.token()) == "robot"


class TestAssertion:
    @pytest.fixture
    def provider(self, identity: Identity) -> Iterator[ScriptedProvider]:
        with scripted_provider() as serving:
            identity.providers[0].issuer = serving.issuer
            yield serving

    @pytest.fixture
    def source(self, address: str, issuer: ServedIssuer) -> ClientCredentials:
        key = read_client_key(issuer.key_file("ec-1"), "ec-1")
        return ClientCredentials(address, "robot", lambda: key)

    def sent(self, provider: ScriptedProvider, issuer: ServedIssuer) -> list[jwt.Token]:
        key = ECKey.import_key(issuer.key_file("ec-1").read_bytes())
        fields = [asked for _, asked in provider.asked]
        assert all("client_secret" not in asked for asked in fields)
        return [
            jwt.decode(asked["client_assertion"], key, algorithms=["ES256"]) for asked in fields
        ]

    def test_says_who_and_to_whom_and_not_for_long(
        self, provider: ScriptedProvider, source: ClientCredentials, issuer: ServedIssuer
    ) -> None:
        provider.answers["/token"] = [GIVEN]
        source.token()

        (assertion,) = self.sent(provider, issuer)
        claims: dict[str, Any] = assertion.claims
        assert assertion.header["kid"] == "ec-1"
        assert claims["iss"] == claims["sub"] == "robot"
        assert claims["aud"] == provider.issuer
        assert claims["exp"] - claims["iat"] == 60
        assert claims["jti"]

    def test_is_made_out_to_the_token_endpoint_where_that_is_wanted(
        self, provider: ScriptedProvider, source: ClientCredentials, issuer: ServedIssuer
    ) -> None:
        provider.answers["/token"] = [REFUSED, GIVEN]
        source.token()
        source._login = Login("old", expires_at=0.0)
        source.token()

        endpoint = f"{provider.issuer}/token"
        sent = self.sent(provider, issuer)
        assert [one.claims["aud"] for one in sent] == [provider.issuer, endpoint, endpoint]
        assert len({one.claims["jti"] for one in sent}) == 3


class TestKeyFile:
    @pytest.mark.parametrize(
        "content",
        [
            "",
            "no key",
            "{}",
            "{",
            json.dumps(OctKey.generate_key(256).as_dict()),
            json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)),
            json.dumps(ECKey.generate_key("P-384").as_dict(private=True)),
            ECKey.generate_key("P-256").as_pem(private=False).decode(),
            locked_pem(),
            pem_of(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - it is refused
        ],
        ids=[
            "empty",
            "text",
            "{}",
            "cut off",
            "oct",
            "Ed25519",
            "P-384",
            "public",
            "locked",
            "1024 bits",
        ],
    )
    @pytest.mark.filterwarnings("ignore:Key size should be")
    def test_without_a_usable_key(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "key"
        file.write_text(content)

        with pytest.raises(InvalidArgument, match="private key") as caught:
            read_client_key(file)
        assert "P-256" in caught.value.next_step
        assert caught.value.__cause__ is None

    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidArgument, match="No such file"):
            read_client_key(tmp_path / "absent")


class TestEnvironment:
    def test_secret_in_a_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, issuer: ServedIssuer
    ) -> None:
        file = tmp_path / "secret"
        file.write_text(issuer.service_secret + "\n")
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")
        monkeypatch.setenv("STUDBOOK_CLIENT_SECRET_FILE", str(file))

        assert subject(issuer, default_token_source(address).token()) == "serving"

    def test_key(self, monkeypatch: pytest.MonkeyPatch, address: str, issuer: ServedIssuer) -> None:
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "robot")
        monkeypatch.setenv("STUDBOOK_CLIENT_KEY_FILE", str(issuer.key_file("rsa-1")))
        monkeypatch.setenv("STUDBOOK_CLIENT_KEY_ID", "rsa-1")

        assert subject(issuer, default_token_source(address).token()) == "robot"

    def test_of_several_login_providers_the_named_one_is_used(
        self,
        monkeypatch: pytest.MonkeyPatch,
        address: str,
        issuer: ServedIssuer,
        identity: Identity,
    ) -> None:
        identity.providers.append(LoginProvider(name="other", issuer="https://other.example"))
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")
        monkeypatch.setenv("STUDBOOK_CLIENT_SECRET", issuer.service_secret)

        with pytest.raises(FailedPrecondition, match="several"):
            default_token_source(address).token()
        monkeypatch.setenv("STUDBOOK_LOGIN_PROVIDER", "dev")
        assert default_token_source(address).token()

    def test_none(self) -> None:
        assert from_environment("one:1") is None

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({}, "neither"),
            ({"SECRET": "a", "KEY_FILE": "b"}, "both STUDBOOK_CLIENT_SECRET and"),
            ({"SECRET_FILE": "/nowhere/secret"}, "/nowhere/secret"),
            ({"KEY_FILE": "/nowhere/key"}, "/nowhere/key"),
        ],
    )
    def test_what_cannot_be_used(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
    ) -> None:
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")
        for name, text in variables.items():
            monkeypatch.setenv(f"STUDBOOK_CLIENT_{name}", text)

        with pytest.raises(InvalidArgument, match=said):
            default_token_source("one:1")
