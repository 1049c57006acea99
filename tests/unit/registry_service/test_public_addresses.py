"""Only addresses of the internet at large are public."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpcore
import pytest

from registry_service.public_addresses import is_public, read_address, read_networks
from registry_service.webhook_sender import WebhookSender


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public(text: str) -> None:
    assert is_public(read_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",  # noqa: S104 - not to bind to
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        # Ways through which addresses of IPv4 are reached.
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "64:ff9b::7f00:1",
    ],
)
def test_not_public(text: str) -> None:
    assert not is_public(read_address(text))


def test_networks_can_be_wrong() -> None:
    with pytest.raises(ValueError, match="host bits"):
        read_networks(["10.0.0.1/8"])


def test_the_call_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere with every question leads nowhere but to what was looked at."""
    answers = [["8.8.8.8", "10.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []
    connected: list[str] = []

    async def resolve(_loop: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    async def connect(_backend: Any, host: str, *_: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError("no network here")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)

    async def test() -> list[str]:
        sender = WebhookSender((), 5)
        first = await sender.post("https://rebinding.example/", {}, b"{}")
        second = await sender.post("https://rebinding.example/", {}, b"{}")
        await sender.close()
        return [first.error, second.error]

    errors = asyncio.run(test())
    assert connected == ["8.8.8.8"]
    assert errors[0] == "the connection failed: no network here"
    assert errors[1].startswith("10.0.0.1 is not a public address")
