"""Options, ports and what is printed."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from local_stack import ci_token
from local_stack.__main__ import _arguments, _ports, main
from local_stack.greeting import greeting
from local_stack.ports import PortInUseError, Ports
from local_stack.stack import Addresses, LocalStack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import ServedIssuer


def test_ports_in_a_row() -> None:
    assert _ports(_arguments(["--port-base", "9000"])) == Ports(9000, 9001, 9002, 9003, 9004)


def test_single_ports_go_before_the_base() -> None:
    options = _arguments(["--port-base", "0", "--gateway-port", "9000"])

    assert _ports(options) == Ports(9000, 0, 0, 0, 0)


def test_free_ports_differ() -> None:
    ports = asdict(Ports.from_base(0).chosen())

    assert len(set(ports.values())) == 5
    assert 0 not in ports.values()


def test_taken_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"Port {port} for the tracking"):
            Ports(0, 0, port, 0, 0).chosen()

        arguments = ["--data", str(tmp_path), "--port-base", "0", "--issuer-port", str(port)]
        assert main(arguments) == 1
    assert f"Port {port}" in capsys.readouterr().err


def test_greeting_says_how_to_be_somebody(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path / "my data")
    stack._addresses = Addresses.of(Ports(9000, 9001, 9002, 9003, 9004))
    text = greeting(stack)

    for part in (
        "studbook login --as ada",
        "export STUDBOOK_ADDRESS=127.0.0.1:9000",
        f"python -m local_stack.ci_token --data '{tmp_path}/my data'",
        f"STUDBOOK_CLIENT_SECRET_FILE='{tmp_path}/my data/secrets/serving'",
    ):
        assert part in text


class TestCiToken:
    def test_release_job_gets_a_token(self, issuer: ServedIssuer) -> None:
        job = ci_token.release_job(environment="production")
        token = ci_token.ask_for_token(issuer.ci_url, issuer.ci_secret, job)

        assert token.count(".") == 2

    def test_refusal_is_in_words(self, issuer: ServedIssuer) -> None:
        job = ci_token.release_job(repository="acme/other")

        with pytest.raises(ci_token.CiRefusedError, match="acme/other"):
            ci_token.ask_for_token(issuer.ci_url, issuer.ci_secret, job)

    def test_dropped_field(self) -> None:
        assert "environment" not in ci_token.release_job(environment="")

    def test_without_a_stack(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert ci_token.main(["--data", str(tmp_path)]) == 1
        assert "studbook up" in capsys.readouterr().err
