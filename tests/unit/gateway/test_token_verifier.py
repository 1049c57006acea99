"""Good tokens pass, everything else is refused, and a second library has the same opinion."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.refusals import TokenRefusedError
from gateway.signing_keys import SigningKeys
from gateway.token_shape import take_apart
from gateway.token_verifier import LEEWAY_S, TokenVerifier, VerifiedToken
from service_chassis.errors import Code, StudbookError
from tests.security.forgeries import FORGERIES, GENUINE
from tests.unit.gateway.loopback_issuer import AUDIENCE, public_jwk, rsa_key, rules_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.access_rules import AccessRules
    from gateway.signature_check import PreparedKey
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

Verdicts = dict[str, str]


async def _verdict(verifier: TokenVerifier, token: str, rules: AccessRules) -> str:
    try:
        await verifier.verify(token, rules)
    except StudbookError as error:
        return error.reason
    return "accepted"


def forged(issuer: LoopbackIssuer) -> dict[str, str]:
    return {name: forgery.made(issuer) for name, forgery in FORGERIES.items()}


def genuine(issuer: LoopbackIssuer) -> dict[str, str]:
    return {name: forgery.made(issuer) for name, forgery in GENUINE.items()}


def careful_rules(issuer: LoopbackIssuer) -> AccessRules:
    return rules_for(issuer.url, more="    allowed_clients: [studbook-cli]")


def verdicts(rules: AccessRules, tokens: dict[str, str]) -> Verdicts:
    """What becomes of each token."""

    async def run() -> Verdicts:
        keys = SigningKeys()
        keys.follow(rules)
        verifier = TokenVerifier(keys)
        found = {name: await _verdict(verifier, token, rules) for name, token in tokens.items()}
        await keys.close()
        return found

    return asyncio.run(run())


def verify(rules: AccessRules, token: str, now: Callable[[], float] = time.time) -> VerifiedToken:
    async def run() -> VerifiedToken:
        keys = SigningKeys()
        keys.follow(rules)
        try:
            return await TokenVerifier(keys, now).verify(token, rules)
        finally:
            await keys.close()

    return asyncio.run(run())


def test_bad_tokens_are_refused_for_their_reason(http_issuer: LoopbackIssuer) -> None:
    found = verdicts(careful_rules(http_issuer), forged(http_issuer))
    assert found == {name: forgery.reason for name, forgery in FORGERIES.items()}


def test_good_tokens_are_accepted(http_issuer: LoopbackIssuer) -> None:
    found = verdicts(careful_rules(http_issuer), genuine(http_issuer))
    assert set(found.values()) == {"accepted"}


def _joserfc_key(issuer: LoopbackIssuer, kid: object) -> Any:
    jwk = next((key for key in issuer.keys if key["kid"] == kid), None)
    if jwk is None:
        raise ValueError(kid)
    return (RSAKey if jwk["kty"] == "RSA" else ECKey).import_key(jwk)


def test_joserfc_inside_the_same_shell_agrees(
    http_issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = forged(http_issuer) | genuine(http_issuer)
    rules = careful_rules(http_issuer)
    ours = verdicts(rules, tokens)

    def check(token: str, key: PreparedKey, algorithm: str) -> bool:
        del key
        try:
            # Headers that nobody knows are ignored, as RFC 7515 says.
            registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
            key_id = take_apart(token).key_id
            jws.deserialize_compact(token, _joserfc_key(http_issuer, key_id), registry=registry)
        except (JoseError, ValueError):
            return False
        return True

    monkeypatch.setattr("gateway.token_verifier.signature_is_valid", check)
    assert verdicts(rules, tokens) == ours


def _joserfc_accepts(issuer: LoopbackIssuer, token: str) -> bool:
    """What joserfc says on its own, asked as strictly as it can be."""
    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY_S,
        iss={"essential": True, "value": issuer.url},
        aud={"essential": True, "value": AUDIENCE},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
        decoded = jwt.decode(token, _joserfc_key(issuer, kid), algorithms=["RS256", "ES256"])
        registry.validate(decoded.claims)
    except (JoseError, ValueError, TypeError, RecursionError):
        return False
    return True


def test_whatever_joserfc_refuses_we_refuse(http_issuer: LoopbackIssuer) -> None:
    cases = forged(http_issuer) | genuine(http_issuer)
    ours = verdicts(careful_rules(http_issuer), cases)
    # joserfc wants whole seconds and knows every header; the RFCs ask for neither.
    softer = {"fractions of seconds", "unknown header"}
    wrong = [
        name
        for name, token in cases.items()
        if ours[name] == "accepted" and not _joserfc_accepts(http_issuer, token)
    ]
    assert set(wrong) <= softer


def test_refusal_says_nothing_of_the_check(http_issuer: LoopbackIssuer) -> None:
    messages = set()
    for token in (http_issuer.token(header={"kid": "nobody"}), "garbage", http_issuer.token(exp=1)):
        with pytest.raises(TokenRefusedError) as refused:
            verify(rules_for(http_issuer.url), token)
        assert refused.value.code is Code.UNAUTHENTICATED
        assert refused.value.for_log["check"]
        messages.add((str(refused.value), tuple(refused.value.metadata)))
    assert messages == {("The token cannot be verified; log in again.", ())}


def test_expiry_ends_with_the_leeway(http_issuer: LoopbackIssuer) -> None:
    expires = int(time.time()) + 300
    token, rules = http_issuer.token(exp=expires), rules_for(http_issuer.url)
    assert verify(rules, token, lambda: expires + LEEWAY_S - 1).expires_at == expires
    with pytest.raises(TokenRefusedError, match="expired"):
        verify(rules, token, lambda: expires + LEEWAY_S)


def test_issuer_that_was_never_reached_is_unavailable_not_unauthenticated(
    http_issuer: LoopbackIssuer,
) -> None:
    http_issuer.answers["/main/jwks"] = (503, b"", {})
    with pytest.raises(StudbookError) as refused:
        verify(rules_for(http_issuer.url), http_issuer.token())
    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "ISSUER_UNAVAILABLE")
    assert refused.value.metadata == {"issuer": http_issuer.url}


@pytest.mark.parametrize(
    ("more", "changes"),
    [
        ("    other_audiences: [account]", {"aud": [AUDIENCE, "account"]}),
        (
            "    login: {client_id: cli}\n    other_audiences: [cli]",
            {"aud": ["cli", AUDIENCE], "client_id": "cli"},
        ),
        ("    token_types: [none]", {"header": {"typ": None}}),
        ("    algorithms: [RS512]", {"algorithm": "RS512", "header": {"kid": "any"}}),
        ("    max_token_lifetime_s: 604800", {"exp": time.time() + 100_000}),
        ("    allowed_clients: [studbook-cli]", {}),
    ],
)
def test_issuer_may_be_configured_otherwise(
    http_issuer: LoopbackIssuer, more: str, changes: dict[str, Any]
) -> None:
    http_issuer.keys.append({**http_issuer.keys[0], "kid": "any", "alg": "RS512"})
    verify(rules_for(http_issuer.url, more=more), http_issuer.token(**changes))


@pytest.mark.parametrize(
    ("more", "changes"),
    [
        ("    token_types: [at+jwt]", {"header": {"typ": "JWT"}}),
        ("    max_token_lifetime_s: 120", {}),
        ("    allowed_clients: [other]", {}),
        ("    algorithms: [ES256]", {}),
        ("    login: {client_id: cli}\n    other_audiences: [cli]", {"aud": ["cli"]}),
    ],
)
def test_issuer_may_be_configured_more_strictly(
    http_issuer: LoopbackIssuer, more: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(TokenRefusedError):
        verify(rules_for(http_issuer.url, more=more), http_issuer.token(**changes))


ID_TOKENS = "    bearer: id_token"


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"aud": "pages"}, True),
        ({"aud": ["pages"], "azp": "pages"}, True),
        ({"aud": "pages", "azp": AUDIENCE}, False),
        ({"azp": "pages"}, False),
        ({"aud": ["pages", AUDIENCE]}, False),
        ({"aud": "other"}, False),
        ({"aud": []}, False),
        ({"aud": [["pages"]]}, False),
    ],
)
def test_id_tokens_are_taken_of_every_client_that_logs_people_in(
    http_issuer: LoopbackIssuer, changes: dict[str, Any], taken: bool
) -> None:
    more = f"{ID_TOKENS}\n    login: {{client_id: '{AUDIENCE}'}}\n    web: {{client_id: pages}}"
    token = http_issuer.token(header={"typ": "JWT"}, client_id=None, **changes)
    rules = rules_for(http_issuer.url, more=more)
    if taken:
        verify(rules, token)
        return
    with pytest.raises(TokenRefusedError):
        verify(rules, token)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "n", "at_hash": "h", "auth_time": 1},
        {"azp": AUDIENCE, "client_id": None},
        {"client_id": None},
        {"typ": "ID"},
        {"token_use": "id", "cognito:groups": ["x"]},
    ],
)
def test_id_tokens_are_taken_where_the_rules_say_so(
    http_issuer: LoopbackIssuer, changes: dict[str, Any]
) -> None:
    changes.setdefault("client_id", AUDIENCE)
    token = http_issuer.token(header={"typ": "JWT"}, **changes)
    verify(rules_for(http_issuer.url, more=ID_TOKENS), token)
    only = f"{ID_TOKENS}\n    allowed_clients: [{AUDIENCE}]"
    verify(rules_for(http_issuer.url, more=only), token)


@pytest.mark.parametrize(
    "changes",
    [
        {"azp": "another-client", "client_id": None},
        {"azp": None, "aud": [AUDIENCE, "another-client"]},
        {"typ": "Bearer"},
        {"typ": "Refresh"},
        {"token_use": "access"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
)
def test_what_is_no_id_token_for_us_is_refused_among_id_tokens(
    http_issuer: LoopbackIssuer, changes: dict[str, Any]
) -> None:
    token = http_issuer.token(header={"typ": "JWT"}, **changes)
    with pytest.raises(TokenRefusedError):
        verify(rules_for(http_issuer.url, more=ID_TOKENS), token)


ONE_KEY = "    single_key: true"


def without_kid(issuer: LoopbackIssuer, **changes: Any) -> str:
    return issuer.token(header={"kid": None}, **changes)


@pytest.mark.parametrize("kid", ["rsa", None])
def test_token_without_kid_is_verified_with_the_only_key(
    http_issuer: LoopbackIssuer, kid: str | None
) -> None:
    http_issuer.keys[:] = [{**public_jwk(rsa_key(), "rsa"), "kid": kid}]
    verify(rules_for(http_issuer.url, more=ONE_KEY), without_kid(http_issuer))


@pytest.mark.parametrize("more", ["", ONE_KEY])
def test_token_without_kid_is_refused_where_there_are_several_keys(
    http_issuer: LoopbackIssuer, more: str
) -> None:
    with pytest.raises(TokenRefusedError):
        verify(rules_for(http_issuer.url, more=more), without_kid(http_issuer))


def test_token_without_kid_has_to_be_asked_for(http_issuer: LoopbackIssuer) -> None:
    http_issuer.keys[:] = http_issuer.keys[:1]
    with pytest.raises(TokenRefusedError):
        verify(rules_for(http_issuer.url), without_kid(http_issuer))


def test_new_key_without_kid_is_found(http_issuer: LoopbackIssuer) -> None:
    rules = rules_for(http_issuer.url, more=ONE_KEY)
    http_issuer.keys[:] = [public_jwk(rsa_key(), "first")]

    async def run() -> None:
        keys = SigningKeys(pause_s=0)
        keys.follow(rules)
        verifier = TokenVerifier(keys)
        await verifier.verify(without_kid(http_issuer), rules)
        http_issuer.keys[:] = [public_jwk(rsa_key(1), "second")]
        await verifier.verify(without_kid(http_issuer, key=rsa_key(1)), rules)
        with pytest.raises(TokenRefusedError):
            await verifier.verify(without_kid(http_issuer), rules)
        await keys.close()

    asyncio.run(run())


def test_pipeline_tokens_may_look_like_id_tokens(http_issuer: LoopbackIssuer) -> None:
    rules = rules_for(http_issuer.url, kind="pipelines")
    token = http_issuer.token(header={"typ": "JWT"}, nonce="x", at_hash="y")
    assert verify(rules, token).issuer.name == "dev"


def test_access_token_of_a_person_does_not_pass_for_a_pipeline(
    http_issuer: LoopbackIssuer,
) -> None:
    with pytest.raises(TokenRefusedError):
        verify(rules_for(http_issuer.url, kind="pipelines"), http_issuer.token())
