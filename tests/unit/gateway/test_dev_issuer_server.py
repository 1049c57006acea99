"""The development issuer is served on loopback, and never beside a real one."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from gateway.access_checks import AccessFileError
from gateway.dev_issuer.config import DevIssuerConfig
from gateway.dev_issuer_server import DevIssuerServer
from tests.free_ports import free_port
from tests.unit.conftest import write_issuer_config
from tests.unit.gateway.loopback_issuer import rules_for

if TYPE_CHECKING:
    from pathlib import Path


def test_it_serves_and_stops(tmp_path: Path) -> None:
    async def run() -> None:
        config = DevIssuerConfig.read(write_issuer_config(tmp_path, free_port()))
        server = DevIssuerServer(config)
        await server.start()
        url = f"{config.issuer}/.well-known/openid-configuration"
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(url)).json()["issuer"] == config.issuer
            await server.stop()
            with pytest.raises(httpx.ConnectError):
                await http.get(url)

    asyncio.run(run())


def test_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = DevIssuerServer(DevIssuerConfig.read(write_issuer_config(tmp_path, port)))
        with pytest.raises(SystemExit, match=f"cannot listen on 127.0.0.1:{port}"):
            asyncio.run(server.start())


def test_real_issuer_beside_it_is_refused(tmp_path: Path) -> None:
    config = DevIssuerConfig.read(write_issuer_config(tmp_path, 1))
    server = DevIssuerServer(config)
    server.check(rules_for(config.issuer))
    assert config.ci is not None
    server.check(rules_for(config.ci.issuer, kind="pipelines"))
    for url in ("https://login.example.com", "http://127.0.0.1:1/other", config.issuer + "/"):
        with pytest.raises(AccessFileError, match="the development issuer is on"):
            server.check(rules_for(url))
