"""Every algorithm that an issuer may use, and that it is held to those that its entry names."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any, get_args

import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.access_file import Algorithm
from gateway.signature_check import prepare_keys
from gateway.signing_keys import SigningKeys
from gateway.token_shape import take_apart
from gateway.token_verifier import TokenVerifier
from service_chassis.errors import StudbookError
from tests.security.modern_algorithms import KEYS, TRICKS, genuine, key_set
from tests.unit.gateway.loopback_issuer import rules_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.signature_check import PreparedKey
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

ALGORITHMS: tuple[str, ...] = get_args(Algorithm)


@pytest.fixture
def modern(http_issuer: LoopbackIssuer) -> LoopbackIssuer:
    http_issuer.keys = key_set()
    return http_issuer


def verdicts(
    issuer: LoopbackIssuer, tokens: dict[str, str], algorithms: Iterable[str] = ALGORITHMS
) -> dict[str, str]:
    """What becomes of each token, where the issuer may use these algorithms."""
    rules = rules_for(issuer.url, more=f"    algorithms: [{', '.join(algorithms)}]")

    async def verdict(verifier: TokenVerifier, token: str) -> str:
        try:
            await verifier.verify(token, rules)
        except StudbookError as error:
            return error.reason
        return "accepted"

    async def run() -> dict[str, str]:
        keys = SigningKeys()
        keys.follow(rules)
        verifier = TokenVerifier(keys)
        found = {name: await verdict(verifier, token) for name, token in tokens.items()}
        await keys.close()
        return found

    return asyncio.run(run())


def forged(issuer: LoopbackIssuer) -> dict[str, str]:
    return {name: trick.made(issuer) for name, trick in TRICKS.items()}


def test_all_of_them_have_a_token() -> None:
    assert set(KEYS) == set(ALGORITHMS)


def test_an_issuer_may_use_what_its_entry_names_and_nothing_else(modern: LoopbackIssuer) -> None:
    tokens = genuine(modern)
    for allowed in ALGORITHMS:
        expected = dict.fromkeys(tokens, "TOKEN_INVALID") | {allowed: "accepted"}
        assert verdicts(modern, tokens, [allowed]) == expected


def test_none_is_taken_for_another(modern: LoopbackIssuer) -> None:
    assert set(verdicts(modern, genuine(modern)).values()) == {"accepted"}
    found = verdicts(modern, forged(modern))
    assert {name for name, verdict in found.items() if verdict != "TOKEN_INVALID"} == set()


def test_joserfc_inside_the_same_shell_agrees(
    modern: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = genuine(modern) | forged(modern)
    ours = verdicts(modern, tokens)
    kinds: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}

    def check(token: str, key: PreparedKey, algorithm: str) -> bool:
        del key
        jwk = next(jwk for jwk in modern.keys if jwk["kid"] == take_apart(token).key_id)
        try:
            with warnings.catch_warnings():
                # That `EdDSA` does not say which curve is known.
                warnings.simplefilter("ignore")
                imported = kinds[jwk["kty"]].import_key(jwk)
                jws.deserialize_compact(token, imported, algorithms=[algorithm])
        except (JoseError, ValueError):
            return False
        return True

    monkeypatch.setattr("gateway.token_verifier.signature_is_valid", check)
    assert verdicts(modern, tokens) == ours


def test_keys_of_no_use_are_left_out() -> None:
    usable = {kid for kid, _ in prepare_keys({"keys": key_set()}, ALGORITHMS)}
    assert usable == {"rsa", "p256", "p384", "p521", "ed", "RS256 only", "PS256 only"}


@pytest.mark.parametrize("algorithm", ["HS256", "none", "ES256K", "Ed448", "RSA-OAEP"])
def test_what_proves_nothing_cannot_be_allowed(algorithm: str) -> None:
    with pytest.raises(ValueError, match=r"issuers\.dev\.algorithms\[0\]: .*'PS256'"):
        rules_for("https://issuer.example", more=f"    algorithms: [{algorithm}]")
