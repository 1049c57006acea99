"""The gateway's key is replaced while calls go on, by the steps of docs/operations.md."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from joserfc.jwk import OKPKey

from service_chassis.assertion import LIFETIME_S, METADATA_KEY, AssertionSigner
from service_chassis.behind_gateway import followed_signer, service_server
from service_chassis.caller import Caller, Principal
from service_chassis.service_settings import ServiceSettings
from studbook.tracking.v1 import run_service_pb2, run_service_pb2_grpc
from tests.unit.gateway.running_gateway import RUN, Runs, Seen, explanation, refused

if TYPE_CHECKING:
    from pathlib import Path

GET_RUN = "/studbook.tracking.v1.RunService/GetRun"
CALLER = Caller(Principal("user:dev:ada", "user"), {"runs.read": ("**",)})


class Load:
    """Several callers that call one after another call, until they are told to stop.

    Args:
        channel: To the service.
        signer: Vouches for them.
    """

    def __init__(self, channel: grpc.aio.Channel, signer: AssertionSigner) -> None:
        self._stub = run_service_pb2_grpc.RunServiceStub(channel)
        self._signer = signer
        self._done = 0
        self._stopped = False
        self._callers = [asyncio.create_task(self._go_on()) for _ in range(4)]

    async def call(self, signer: AssertionSigner) -> None:
        note = signer.sign(CALLER, GET_RUN, "tracking")
        request = run_service_pb2.GetRunRequest(name=RUN)
        await self._stub.GetRun(request, metadata=((METADATA_KEY, note),))

    async def _go_on(self) -> None:
        while not self._stopped:
            await self.call(self._signer)
            self._done += 1

    async def some_calls(self) -> None:
        """Wait until more of them were answered; fails when one was refused."""
        target = self._done + 20
        while self._done < target:
            assert not any(caller.done() for caller in self._callers)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._callers)


def service_settings(folder: Path, public: Path) -> ServiceSettings:
    return ServiceSettings.model_validate(
        {
            "database_url": "sqlite://",
            "artifact_store": str(folder),
            "assertion_trusted_keys": {"gateway": public},
            "drain_seconds": 0,
        }
    )


async def rotate(folder: Path) -> None:
    old, new = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
    public, private = folder / "gateway.pub.pem", folder / "gateway.pem"
    public.write_bytes(old.as_pem(private=False))
    private.write_bytes(old.as_pem(private=True))
    server = service_server("tracking", service_settings(folder, public))
    run_service_pb2_grpc.add_RunServiceServicer_to_server(Runs(Seen()), server.grpc)  # type: ignore[abstract]
    await server.start()
    (keys,) = server._followed
    signer, key_file = followed_signer("gateway", private)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        load = Load(channel, signer)
        await load.some_calls()
        public.write_bytes(old.as_pem(private=False) + new.as_pem(private=False))
        await keys.look()
        await load.some_calls()
        private.write_bytes(new.as_pem(private=True))
        await key_file.look()
        await load.some_calls()
        public.write_bytes(new.as_pem(private=False))
        await keys.look()
        await load.some_calls()
        # What cannot be used changes nothing.
        public.write_bytes(b"garbage")
        private.write_bytes(new.as_pem(private=False))
        for _ in range(2):
            await keys.look()
            await key_file.look()
        await load.some_calls()
        await load.stop()
        error = await refused(load.call(AssertionSigner("gateway", old.as_pem(private=True))))
        assert explanation(error).reason == "ASSERTION_INVALID"
    await server.stop()


def test_rotation_fails_no_call_and_ends_the_old_key(tmp_path: Path) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(30):
            await rotate(tmp_path)

    asyncio.run(in_time())
    # For so long the old public key stays, by the steps of docs/operations.md.
    assert LIFETIME_S <= 60


@pytest.mark.parametrize("content", ["", "garbage", "public"])
def test_useless_private_key_is_refused_at_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.pem"
    key = OKPKey.generate_key("Ed25519")
    path.write_bytes(key.as_pem(private=False) if content == "public" else content.encode())
    with pytest.raises(SystemExit, match="is not a usable Ed25519 key"):
        followed_signer("gateway", path)
