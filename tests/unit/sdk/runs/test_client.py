"""What every call of the client carries, what it repeats, and what it raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studbook.address import parse_address, resolve_address
from studbook.client import Client
from studbook.exceptions import (
    InvalidArgument,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from studbook.tracking.v1.run_pb2 import Param, ParamValue
from studbook.tracking.v1.run_service_pb2 import (
    CreateRunRequest,
    DeleteRunRequest,
    GetRunRequest,
    LogBatchRequest,
    UpdateRunRequest,
)
from tests.unit.sdk.runs.conftest import RUN
from tests.unit.sdk.runs.loopback_state import Token

if TYPE_CHECKING:
    from tests.unit.sdk.runs.loopback_state import Stored

PARENT = "workspaces/main/experiments/wine"


@pytest.fixture
def run(client: Client, stored: Stored) -> str:
    stored.experiments.add(PARENT)
    client.runs.CreateRun(CreateRunRequest(parent=PARENT, run_id="first"))
    return RUN


def test_a_call_carries_the_token(client: Client, stored: Stored, run: str) -> None:
    assert client.runs.GetRun(GetRunRequest(name=run)).run.name == RUN
    assert stored.authorizations == ["Bearer a-token"] * 2


def test_calls_that_read_are_repeated(client: Client, stored: Stored, run: str) -> None:
    stored.unavailable["GetRun"] = 2
    client.runs.GetRun(GetRunRequest(name=run))
    assert stored.calls.count("GetRun") == 3


def test_changes_are_repeated_only_with_a_request_id(
    client: Client, stored: Stored, run: str
) -> None:
    stored.unavailable["DeleteRun"] = 1
    with pytest.raises(Unavailable):
        client.runs.DeleteRun(DeleteRunRequest(name=run))
    request = UpdateRunRequest(request_id="6f1c1b1e-8d0a-4f5e-9a57-0d6f1f2b3c4d")
    request.run.name = run
    stored.unavailable["UpdateRun"] = 1
    client.runs.UpdateRun(request)
    assert stored.calls.count("UpdateRun") == 2


def test_calls_that_came_too_fast_wait_as_long_as_they_are_asked_to(
    client: Client, stored: Stored, run: str
) -> None:
    stored.too_fast["DeleteRun"] = 2
    client.runs.DeleteRun(DeleteRunRequest(name=run))
    assert stored.calls.count("DeleteRun") == 3
    first, second, third = stored.times[-3:]
    assert min(second - first, third - second) >= stored.wait_s


def test_no_call_waits_beyond_its_deadline(client: Client, stored: Stored, run: str) -> None:
    stored.too_fast["GetRun"], stored.wait_s = 1, 3600
    with pytest.raises(LimitExceeded) as caught:
        client.runs.GetRun(GetRunRequest(name=run), timeout=20)
    assert (caught.value.reason, caught.value.retry_after_s) == ("RATE_LIMITED", 3600)
    assert caught.value.next_step == ""
    assert stored.calls.count("GetRun") == 1


def test_an_error_brings_what_the_server_said(client: Client, run: str) -> None:
    with pytest.raises(NotFound) as caught:
        client.runs.GetRun(GetRunRequest(name="workspaces/main/experiments/wine/runs/x"))
    assert caught.value.reason == "NOT_FOUND"
    assert caught.value.metadata == {"resource": "workspaces/main/experiments/wine/runs/x"}
    param = Param(key="refused", value=ParamValue(int_value=1))
    with pytest.raises(InvalidArgument) as refused:
        client.runs.LogBatch(LogBatchRequest(run=run, params=[param]))
    assert [v.field for v in refused.value.field_violations] == ["params[0].key"]
    assert refused.value.next_step == "params[0].key: give another"
    assert refused.value.exit_code == 2


def test_nobody_there_names_the_address() -> None:
    with Client("127.0.0.1:1", token_source=Token()) as client, pytest.raises(Unavailable) as error:
        client.runs.DeleteRun(DeleteRunRequest(name=RUN))
    assert str(error.value).startswith("127.0.0.1:1 cannot be reached")
    assert "studbook up" in error.value.next_step


def test_a_denial_says_whom_to_ask_for_what() -> None:
    error = PermissionDenied(
        "ada lacks models.promote",
        metadata={
            "permission": "models.promote",
            "resource": "workspaces/main/models/wine-cultivar",
            "roles": "releaser, admin",
        },
    )
    assert "releaser, admin" in error.next_step
    assert (
        "`studbook access test models.promote workspaces/main/models/wine-cultivar`"
        in error.next_step
    )
    assert error.exit_code == 4


@pytest.mark.parametrize(
    ("text", "read", "secure"),
    [
        ("127.0.0.1:7420", "127.0.0.1:7420", False),
        ("localhost", "localhost:7420", False),
        ("[::1]:1", "[::1]:1", False),
        ("127.9.9.9", "127.9.9.9:7420", False),
        ("studbook.example.com", "studbook.example.com:7420", True),
        ("https://studbook.example.com", "studbook.example.com:443", True),
        ("https://studbook.example.com:8443/", "studbook.example.com:8443", True),
        ("0.0.0.0:7420", "0.0.0.0:7420", True),
        ("127.0.0.1.example.com:80", "127.0.0.1.example.com:80", True),
    ],
)
def test_addresses(text: str, read: str, secure: bool) -> None:
    address = parse_address(text)
    assert (str(address), address.secure) == (read, secure)


@pytest.mark.parametrize(
    "text",
    ["", "http://example.com", "ftp://x", "x:y", "x:99999", "a b", "https://u:p@x", "x/y", "x:1?q"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_address(text)


def test_the_environment_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_ADDRESS", "example.com:1")
    assert str(resolve_address()) == "example.com:1"
    assert str(resolve_address("example.com:2")) == "example.com:2"
    monkeypatch.delenv("STUDBOOK_ADDRESS")
    assert str(resolve_address()) == "127.0.0.1:7420"


def test_a_missing_authority_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_CA_FILE", "/does/not/exist")
    with pytest.raises(InvalidArgument, match="STUDBOOK_CA_FILE"):
        Client("example.com:1")
