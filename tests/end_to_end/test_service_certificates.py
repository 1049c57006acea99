"""Processes that know each other by certificates, as compose.yaml starts them."""

from __future__ import annotations

import json
import operator
import shutil
import threading
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local_stack.ports import HOST, Ports
from local_stack.service_certificates import ensure_service_certificates
from local_stack.stack import LocalStack
from studbook.registry.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    watch_service_pb2,
    watch_service_pb2_grpc,
)
from studbook.tracking.v1 import run_service_pb2, run_service_pb2_grpc
from tests.end_to_end import story
from tests.end_to_end.conftest import clients_of, tokens_of
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.end_to_end.conftest import Everyone

HOSTS = dict.fromkeys(("tracking", "registry"), HOST)
SERVICES = ("tracking", "registry")


def make_certificates(authority: Path, folder: Path) -> list[str]:
    return ensure_service_certificates(authority, folder, HOSTS, days=30)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where authorities have their keys."""
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def certificates(authorities: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes have their certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    assert make_certificates(authorities / "first", folder) == ["gateway", *SERVICES]
    return folder


@pytest.fixture(scope="module")
def stack(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(
        tmp_path_factory.mktemp("stack"),
        Ports.from_base(0),
        separate=True,
        service_certificates=certificates,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(stack: LocalStack) -> dict[str, str]:
    return tokens_of(stack)


@pytest.fixture(scope="module")
def everyone(stack: LocalStack, tokens: dict[str, str]) -> Iterator[Everyone]:
    clients = clients_of(stack, tokens)
    yield clients
    clients.close()


def credentials(folder: Path, name: str = "") -> grpc.ChannelCredentials:
    """What somebody has who holds a component's certificate, or none."""
    own = [(folder / f"{name}.{kind}").read_bytes() for kind in ("key", "crt") if name]
    return grpc.ssl_channel_credentials((folder / "services-ca.crt").read_bytes(), *own)


def is_refused(address: str, shown: grpc.ChannelCredentials | None) -> bool:
    """Whether a service gives no connection to whoever shows this."""
    with (
        grpc.insecure_channel(address) if shown is None else grpc.secure_channel(address, shown)
    ) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            check(health_pb2.HealthCheckRequest(), timeout=20)
        except grpc.RpcError as refused:
            error: Any = refused
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return True
    return False


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_without_a_certificate_of_the_installation_reaches_a_service(
    stack: LocalStack, certificates: Path, authorities: Path, tmp_path: Path, service: str
) -> None:
    address = getattr(stack.addresses, service)
    assert not is_refused(address, credentials(certificates, "gateway"))
    assert is_refused(address, None)
    assert is_refused(address, credentials(certificates))
    make_certificates(authorities / "foreign", tmp_path)
    shutil.copy(certificates / "services-ca.crt", tmp_path)
    assert is_refused(address, credentials(tmp_path, "gateway"))


class Load:
    """Callers of methods that take every hop there is; what fails is kept, and nothing repeated."""

    def __init__(self, calls: list[Callable[[], object]]) -> None:
        self.failures: list[str] = []
        self._answered = [0] * len(calls)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(number, call))
            for number, call in enumerate(calls)
        ]

    def _go_on(self, number: int, call: Callable[[], object]) -> None:
        while not self._stopping.is_set():
            try:
                call()
            except grpc.RpcError as error:
                self.failures.append(str(error))
            self._answered[number] += 1

    def some_calls(self) -> None:
        """Wait until each of the callers had more answers."""
        before = list(self._answered)
        wait_until(lambda: all(n >= was + 5 for n, was in zip(self._answered, before, strict=True)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def times_logged(stack: LocalStack, process: str, **entry: str) -> int:
    """How often a process has logged something."""
    lines = (stack.folder.logs / f"{process}.log").read_text().splitlines()
    logged = (json.loads(line) for line in lines if line.startswith("{"))
    return sum(entry.items() <= line.items() for line in logged)


USED = {"event": "files_in_use", "setting": "tls_certificate"}
MOVED = {"event": "connected_with_new_certificates"}
# The gateway has two connections to the registry: one is for exchanging tokens.
RENEWALS = (
    ("tracking", USED, 1),
    ("registry", USED, 1),
    ("registry", MOVED, 1),
    ("gateway", MOVED, 3),
)


def after_reload(stack: LocalStack, change: Callable[[], object]) -> None:
    """Change files that all processes have, and wait until each of them uses the new ones."""
    wanted = [times_logged(stack, process, **entry) + more for process, entry, more in RENEWALS]

    def all_renewed() -> bool:
        found = [times_logged(stack, process, **entry) for process, entry, _ in RENEWALS]
        return all(map(operator.ge, found, wanted))

    change()
    wait_until(all_renewed)


def test_certificates_and_their_authority_are_replaced_while_calls_go_on(
    stack: LocalStack,
    certificates: Path,
    authorities: Path,
    everyone: Everyone,
    tokens: dict[str, str],
    tmp_path: Path,
) -> None:
    experiment = story.create_experiment(everyone.ada, "renewal")
    run = story.train(everyone.ada, experiment, 1).run
    model = story.create_model(everyone.ada, "renewal")
    story.register(everyone.ada, model, "1.0.0", run)
    stolen = tmp_path / "stolen"
    shutil.copytree(certificates, stolen)
    metadata = (("authorization", f"Bearer {tokens['ada']}"),)
    channel = grpc.insecure_channel(stack.addresses.gateway, [("grpc.enable_retries", 0)])
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    watches = watch_service_pb2_grpc.WatchServiceStub(channel)
    get_run = run_service_pb2.GetRunRequest(name=run)
    # For this the registry asks the tracking service.
    create_version = model_service_pb2.CreateVersionRequest(
        parent=model,
        version_id="2.0.0",
        source_run=run,
        artifact_paths=["model"],
        validate_only=True,
    )
    calls: list[Callable[[], object]] = [
        lambda: runs.GetRun(get_run, metadata=metadata, timeout=60),
        lambda: models.CreateVersion(create_version, metadata=metadata, timeout=60),
    ]
    watching = watch_service_pb2.WatchVersionsRequest(parent=story.WORKSPACE, models="renewal")
    watch: Any = watches.WatchVersions(watching, metadata=metadata, timeout=600)
    assert next(watch).HasField("state")
    with channel, Load(calls) as load:
        load.some_calls()
        second = authorities / "second"
        after_reload(stack, lambda: make_certificates(second, certificates))
        load.some_calls()
        after_reload(stack, lambda: make_certificates(second, certificates))
        load.some_calls()
        only_second = (second / "ca.crt").read_bytes()
        after_reload(stack, lambda: (certificates / "services-ca.crt").write_bytes(only_second))
        load.some_calls()
        # What began with the first certificates goes on, too.
        story.register(everyone.ada, model, "3.0.0", run)
        assert any("3.0.0" in str(told.changes) for told in watch)
        watch.cancel()
    assert load.failures == []
    shutil.copy(certificates / "services-ca.crt", stolen)
    for service in SERVICES:
        address = getattr(stack.addresses, service)
        assert is_refused(address, credentials(stolen, "gateway"))
        assert not is_refused(address, credentials(certificates, "gateway"))
