"""Who a verified token speaks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.authentication import Authenticator
from gateway.principals import Identity, identify
from gateway.refusals import TokenRefusedError
from gateway.signing_keys import SigningKeys
from gateway.token_verifier import TokenVerifier, VerifiedClaims, VerifiedToken
from service_chassis.errors import StudbookError
from tests.unit.gateway.loopback_issuer import good_claims, rules_for
from tests.unit.gateway.running_gateway import Rules

if TYPE_CHECKING:
    from gateway.access_rules import AccessRules
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

URL = "https://issuer.example"
ACCOUNTS = """
    service_accounts:
      - client_id: serving
      - {client_id: keycloak, subject: 6d8a-uuid}
"""
PIPELINES = """
pipelines:
  release: {issuer: dev, claims: {repository_id: "1", deployment: blue}}
"""


def who(rules: AccessRules, **changes: Any) -> Identity:
    claims = VerifiedClaims(good_claims(URL, **changes))
    return identify(VerifiedToken(rules.issuers[URL], claims, "ab" * 32, 0), rules)


PEOPLE = rules_for(URL, more=ACCOUNTS)
CI = rules_for(URL, kind="pipelines", rest=PIPELINES)


def test_person() -> None:
    identity = who(PEOPLE, groups=["a", "b", "a", 7, "", "c\n"])
    principal = identity.principal
    assert (principal.id, principal.kind) == ("user:dev:ada", "user")
    assert (principal.display_name, principal.subject) == ("Ada", "ada")
    assert (principal.issuer, principal.token_id) == (URL, "t1")
    assert identity.groups == ("group:dev:a", "group:dev:b")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"client_id": "serving", "sub": "serving"}, "service:dev:serving"),
        ({"client_id": None, "azp": "serving", "sub": "serving"}, "service:dev:serving"),
        ({"client_id": "keycloak", "sub": "6d8a-uuid"}, "service:dev:keycloak"),
        ({"client_id": "unlisted", "sub": "unlisted"}, "service:dev:unlisted"),
        ({"client_id": None}, "user:dev:ada"),
        ({"client_id": "cli", "sub": "serving"}, "user:dev:serving"),
    ],
)
def test_service_accounts(claims: dict[str, Any], expected: str) -> None:
    identity = who(PEOPLE, **claims)
    assert identity.principal.id == expected
    # Groups are for people: a client could otherwise be given a person's rights.
    assert (identity.groups == ()) == expected.startswith("service:")


def test_client_may_stand_in_another_claim() -> None:
    rules = rules_for(URL, more=ACCOUNTS + "    client_claim: cid")
    service = who(rules, client_id=None, cid="serving", sub="serving")
    assert service.principal.id == "service:dev:serving"
    # What stands in the usual places says nothing then.
    person = who(rules, client_id="serving", cid="cli", sub="serving")
    assert person.principal.id == "user:dev:serving"


def test_person_cannot_log_in_as_a_service() -> None:
    for client in ("serving", "keycloak"):
        with pytest.raises(TokenRefusedError):
            who(PEOPLE, client_id=client, sub="ada")


def test_pipeline_records_the_job() -> None:
    identity = who(
        CI, repository_id="1", deployment="blue", ref="refs/heads/main", run_id=17, other="x"
    )
    assert identity.principal.id == "pipeline:release"
    assert identity.principal.pipeline_claims == {
        "repository_id": "1",
        "deployment": "blue",
        "ref": "refs/heads/main",
        "run_id": "17",
    }
    assert identity.groups == ()


ELSEWHERE = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}}
ROLES_ELSEWHERE = {"_claim_names": {"realm_access": "src1"}}


@pytest.mark.parametrize(
    ("claim", "claims", "omitted"),
    [
        ("groups", ELSEWHERE, True),
        ("groups", {**ELSEWHERE, "groups": None}, True),
        ("groups", {"groups": None, "hasgroups": True}, True),
        ("groups", {"groups": None, "hasgroups": "true"}, True),
        ("groups", {"groups": None, "hasgroups": [True]}, False),
        ("groups", {"hasgroups": True}, False),
        ("groups", ROLES_ELSEWHERE, False),
        ("groups", {"_claim_names": "groups"}, False),
        ("realm_access/roles", ROLES_ELSEWHERE, True),
        ("groups", {}, False),
    ],
)
def test_groups_that_are_left_out_are_noticed(
    claim: str, claims: dict[str, Any], omitted: bool
) -> None:
    identity = who(rules_for(URL, more=f"    groups_claim: {claim}"), **claims)
    assert (identity.groups_omitted_by == "dev") is omitted
    assert not (omitted and identity.groups)


def test_groups_by_prefix_and_number() -> None:
    rules = rules_for(URL, more="    groups_prefix: sb-\n    most_groups: 2")
    assert who(rules, groups=["sb-a", "other", "SB-b", "sb-c"]).groups == (
        "group:dev:sb-a",
        "group:dev:sb-c",
    )
    with pytest.raises(StudbookError, match="names 3 groups, and at most 2") as refused:
        who(rules, groups=["sb-a", "sb-b", "sb-c"])
    assert refused.value.reason == "GROUPS_TOO_MANY"


def test_unknown_pipeline() -> None:
    with pytest.raises(TokenRefusedError) as refused:
        who(CI, repository_id="2", deployment="blue")
    assert refused.value.reason == "PIPELINE_UNKNOWN"


@pytest.mark.parametrize("token_id", [None, 7, "", "x" * 200, "a\nb"])
def test_token_without_a_usable_id_is_named_by_its_digest(token_id: Any) -> None:
    assert who(PEOPLE, jti=token_id).principal.token_id == "sha256:abababababababab"


def test_label_is_cleaned() -> None:
    assert who(PEOPLE, name="A\x1bd\na" + "x" * 500).principal.display_name == "Ada" + "x" * 197
    assert who(PEOPLE, name=["Ada"]).principal.display_name == ""


def test_callers_are_remembered_for_a_minute(http_issuer: LoopbackIssuer) -> None:
    async def run() -> None:
        rules = Rules(rules_for(http_issuer.url))
        keys = SigningKeys()
        keys.follow(rules.current)
        clock = [float(good_claims("")["iat"])]
        verifier = TokenVerifier(keys, lambda: clock[0])
        authenticator = Authenticator(rules, verifier, lambda: clock[0])
        metadata = (("authorization", f"Bearer {http_issuer.token()}"),)
        first = await authenticator.authenticate(metadata)
        assert await authenticator.authenticate(metadata) is first
        clock[0] += 61
        again = await authenticator.authenticate(metadata)
        assert again is not first
        rules.current = rules_for(http_issuer.url, more=ACCOUNTS)
        keys.follow(rules.current)
        assert await authenticator.authenticate(metadata) is not again
        clock[0] += 400
        with pytest.raises(TokenRefusedError):
            await authenticator.authenticate(metadata)
        await keys.close()

    asyncio.run(run())


def test_rules_that_change_while_a_token_is_verified_hold_for_it(
    http_issuer: LoopbackIssuer,
) -> None:
    async def run() -> None:
        rules = Rules(rules_for(http_issuer.url))
        revoking = rules_for(http_issuer.url, rest="revoked: {tokens: [t1]}")
        keys = SigningKeys()
        keys.follow(rules.current)

        class Overtaken(TokenVerifier):
            async def verify(self, text: str, by: AccessRules) -> VerifiedToken:
                verified = await super().verify(text, by)
                rules.current = revoking
                return verified

        authenticator = Authenticator(rules, Overtaken(keys))
        metadata = (("authorization", f"Bearer {http_issuer.token(jti='t1')}"),)
        with pytest.raises(StudbookError) as refused:
            await authenticator.authenticate(metadata)
        assert refused.value.reason == "TOKEN_REVOKED"
        await keys.close()

    asyncio.run(run())
