"""Nobody gets in without a good token, and the answer says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from local_stack import demo_identities
from studbook.client import Client
from studbook.exceptions import PermissionDenied, StudbookError, Unauthenticated
from studbook.identity.v1 import identity_service_pb2
from studbook.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from studbook.registry.v1 import lineage_service_pb2, model_service_pb2, token_service_pb2
from studbook.registry.v1.model_service_pb2_grpc import ModelServiceStub
from studbook.registry.v1.token_service_pb2_grpc import TokenServiceStub
from tests.end_to_end import oidc_login
from tests.end_to_end.conftest import Everyone, FixedToken

if TYPE_CHECKING:
    from local_stack.stack import LocalStack


def call(stack: LocalStack, token: str) -> None:
    """A call that needs a permission."""
    with Client(stack.addresses.gateway, token_source=FixedToken(token)) as client:
        client.models.ListModels(model_service_pb2.ListModelsRequest(parent="workspaces/main"))


def test_no_token(stack: LocalStack) -> None:
    with pytest.raises(Unauthenticated) as refused:
        call(stack, "")
    assert refused.value.reason == "TOKEN_MISSING"
    assert "studbook login" in refused.value.next_step


def test_good_token_without_a_binding(stack: LocalStack, everyone: Everyone) -> None:
    with pytest.raises(PermissionDenied) as refused:
        everyone.serving.models.ListModels(
            model_service_pb2.ListModelsRequest(parent="workspaces/main")
        )
    assert refused.value.reason == "PERMISSION_MISSING"
    assert refused.value.metadata["permission"] == "models.read"


def test_binding_holds_for_its_workspace_only(everyone: Everyone) -> None:
    with pytest.raises(PermissionDenied) as refused:
        everyone.ada.models.ListModels(
            model_service_pb2.ListModelsRequest(parent="workspaces/other")
        )
    assert refused.value.metadata["resource"] == "workspaces/other"


@pytest.mark.parametrize(
    "changes",
    [{"ref": "refs/heads/main-2"}, {"environment": "staging"}, {"environment": ""}],
    ids=["other ref", "other environment", "no environment"],
)
def test_job_that_is_not_the_release_pipeline(stack: LocalStack, changes: dict[str, str]) -> None:
    token = oidc_login.job_token(stack.addresses.ci_issuer, stack.ci_secret(), **changes)
    with pytest.raises(Unauthenticated) as refused:
        call(stack, token)
    assert refused.value.reason == "PIPELINE_UNKNOWN"


def test_job_token_for_another_audience(stack: LocalStack) -> None:
    token = oidc_login.job_token(
        stack.addresses.ci_issuer, stack.ci_secret(), audience="https://elsewhere.example"
    )
    with pytest.raises(Unauthenticated) as refused:
        call(stack, token)
    assert refused.value.reason == "AUDIENCE_MISMATCH"


def test_token_never_reaches_a_log(stack: LocalStack, tokens: dict[str, str]) -> None:
    call(stack, tokens["ada"])
    with pytest.raises(StudbookError):
        call(stack, tokens["ada"][:-2])
    logged = "".join(path.read_text() for path in stack.folder.logs.glob("*.log"))
    assert logged
    for token in tokens.values():
        assert token.split(".")[1] not in logged
        assert token.split(".")[2] not in logged


def test_what_needs_no_token(stack: LocalStack) -> None:
    with Client(stack.addresses.gateway, token_source=FixedToken("")) as client:
        info = client.identity.GetServerInfo(identity_service_pb2.GetServerInfoRequest())
    assert [provider.client_id for provider in info.login_providers] == [demo_identities.CLI_CLIENT]
    assert info.limits.page_size == 1000


def test_who_am_i(everyone: Everyone) -> None:
    answer = everyone.release.identity.WhoAmI(identity_service_pb2.WhoAmIRequest())
    assert answer.principal.id == "pipeline:release"
    assert [grant.role for grant in answer.grants] == ["releaser"]


def test_access_is_explained(everyone: Everyone) -> None:
    request = identity_service_pb2.TestAccessRequest(
        permission="models.promote", resource="workspaces/main/models/wine"
    )
    denied = everyone.ada.identity.TestAccess(request)
    assert not denied.allowed
    assert "releaser" in denied.explanation
    assert everyone.grace.identity.TestAccess(request).allowed


def test_job_token_is_good_for_being_exchanged(stack: LocalStack) -> None:
    token = oidc_login.job_token(stack.addresses.ci_issuer, stack.ci_secret())
    metadata = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(stack.addresses.gateway) as channel:
        identity: Any = IdentityServiceStub(channel)
        models: Any = ModelServiceStub(channel)
        request = model_service_pb2.ListModelsRequest(parent="workspaces/main")
        who = identity.WhoAmI(identity_service_pb2.WhoAmIRequest(), metadata=metadata)
        assert who.principal.id == "pipeline:release"
        with pytest.raises(grpc.RpcError) as refused:
            models.ListModels(request, metadata=metadata)
        assert "ExchangeToken" in str(refused.value.details())
        wanted = identity_service_pb2.ExchangeTokenRequest()
        answer = identity.ExchangeToken(wanted, metadata=metadata)
        given = (("authorization", f"Bearer {answer.access_token}"),)
        models.ListModels(request, metadata=given)
        with pytest.raises(grpc.RpcError) as spent:
            identity.ExchangeToken(wanted, metadata=metadata)
        assert "exchanged before" in str(spent.value.details())
        # What is noted of it cannot be noted by anybody else.
        spending = token_service_pb2.SpendTokenRequest(resource="workspaces/main")
        with pytest.raises(grpc.RpcError) as internal:
            TokenServiceStub(channel).SpendToken(spending, metadata=given)
        assert internal.value.code() is grpc.StatusCode.PERMISSION_DENIED
    entry = everything_in_the_ledger(stack)[-1]
    assert (entry.action, entry.actor.id) == ("token.exchanged", "pipeline:release")


def everything_in_the_ledger(stack: LocalStack) -> list[Any]:
    """The entries, as the auditor reads them."""
    text = oidc_login.person_token(stack.addresses.people_issuer, "max")
    with Client(stack.addresses.gateway, token_source=FixedToken(text)) as client:
        request = lineage_service_pb2.ListLedgerEntriesRequest(
            parent="workspaces/-", filter='action = "token.exchanged"', page_size=1000
        )
        return list(client.lineage.ListLedgerEntries(request).entries)
