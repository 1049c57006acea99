"""The processes of Studbook, started, watched and stopped together."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import grpc
import httpx

from local_stack import demo_identities
from local_stack.child import Child, ChildError, ChildSpec
from local_stack.data_folder import DataFolder
from local_stack.ports import HOST, Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# Processes are started, and waited for, in this order, and stopped in the opposite one.
SEPARATE = ("tracking", "registry", "gateway")
TOGETHER = "studbook"
_START_ATTEMPTS = 3
_DRAIN_S = 5


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a running stack are."""

    gateway: str
    tracking: str
    registry: str
    people_issuer: str
    ci_issuer: str
    web: str

    @classmethod
    def of(cls, ports: Ports) -> Addresses:
        """The addresses that follow from the ports."""
        issuer = f"http://{HOST}:{ports.issuer}"
        return cls(
            gateway=f"{HOST}:{ports.gateway}",
            tracking=f"{HOST}:{ports.tracking}",
            registry=f"{HOST}:{ports.registry}",
            people_issuer=f"{issuer}/people",
            ci_issuer=f"{issuer}/ci",
            web=f"http://{HOST}:{ports.web}",
        )


def _settings(
    folder: DataFolder, addresses: Addresses, databases: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """The settings of each service, without their prefixes."""
    keys = folder.keys

    def database(name: str) -> str:
        return databases.get(name, f"sqlite:///{folder.path / f'{name}.sqlite'}")

    def trusted(*components: str) -> str:
        return json.dumps({name: str(keys / f"{name}.pub.pem") for name in components})

    common = {"PAGE_TOKEN_KEY_FILE": str(keys / "page-tokens"), "DRAIN_SECONDS": str(_DRAIN_S)}
    artifacts = {"ARTIFACT_STORE": str(folder.path / "artifacts")}
    return {
        "tracking": {
            **common,
            **artifacts,
            "LISTEN": addresses.tracking,
            "DATABASE_URL": database("tracking"),
            "ASSERTION_TRUSTED_KEYS": trusted("gateway", "registry"),
        },
        "registry": {
            **common,
            **artifacts,
            "LISTEN": addresses.registry,
            "DATABASE_URL": database("registry"),
            "ASSERTION_TRUSTED_KEYS": trusted("gateway"),
            "ASSERTION_PRIVATE_KEY": str(keys / "registry.pem"),
            "SIGNING_KEY": str(keys / "ledger.pem"),
            "TRACKING_ADDRESS": addresses.tracking,
            "WEBHOOK_KEY_FILE": str(keys / "webhooks"),
            # There is nothing but this machine.
            "WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8", "::1/128"]',
        },
        "gateway": {
            "DRAIN_SECONDS": str(_DRAIN_S),
            "LISTEN": addresses.gateway,
            "ASSERTION_PRIVATE_KEY": str(keys / "gateway.pem"),
            "TOKEN_KEYS": str(keys / "tokens.pem"),
            "TRACKING_ADDRESS": addresses.tracking,
            "REGISTRY_ADDRESS": addresses.registry,
            "ACCESS_FILE": str(folder.access_file),
            "DEV_ISSUER": str(folder.dev_issuer),
            "WEB_LISTEN": addresses.web.removeprefix("http://"),
            "WEB_KEY_FILE": str(keys / "web"),
            "WEB_DATABASE_URL": database("web"),
        },
    }


def _of_certificates(folder: Path) -> dict[str, dict[str, str]]:
    """The settings with which every hop has TLS, and both sides a certificate."""
    ca = str(folder / "services-ca.crt")

    def own(name: str, prefix: str) -> dict[str, str]:
        return {
            f"{prefix}_CERTIFICATE": str(folder / f"{name}.crt"),
            f"{prefix}_PRIVATE_KEY": str(folder / f"{name}.key"),
        }

    def called(name: str) -> dict[str, str]:
        return {**own(name, "TLS"), "TLS_CLIENT_CA": ca}

    def calling(name: str) -> dict[str, str]:
        return {**own(name, "SERVICES"), "SERVICES_CA": ca}

    return {
        "tracking": called("tracking"),
        "registry": {**called("registry"), **calling("registry")},
        "gateway": calling("gateway"),
    }


_MODULES = {
    "tracking": "tracking_service",
    "registry": "registry_service",
    "gateway": "gateway",
    TOGETHER: "local_stack.together",
}


def _environment(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"STUDBOOK_{name.upper()}_{key}": text for key, text in settings.items()}


class LocalStack:
    """Studbook on this machine, on loopback, with demo identities.

    Args:
        folder: Where everything is kept; prepared on first use.
        ports: Where to listen.
        say: Told, in words, what happens.
        start_timeout_s: How long to wait until everything serves.
        databases: URLs of databases for `tracking` and `registry`; default: SQLite files in the
            folder.
        separate: Whether each service runs in a process of its own, as in a larger installation.
            In one process a call has no hop between gateway and service.
        development: Whether the development issuer logs people in. Without it, the issuers are
            those of the `access.yaml` that is in the folder already.
        service_certificates: Folder of what `local_stack.service_certificates` made for this
            machine, with which separate processes call one another; default: plain text.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports | None = None,
        *,
        say: Callable[[str], None] = lambda _text: None,
        start_timeout_s: float = 120,
        databases: Mapping[str, str] | None = None,
        separate: bool = False,
        development: bool = True,
        service_certificates: Path | None = None,
    ) -> None:
        self.folder = DataFolder(folder)
        self._wanted_ports = ports if ports is not None else Ports()
        self._say = say
        self._databases = dict(databases or {})
        self._separate = separate
        self._development = development
        self._certificates = service_certificates
        self._timeout_s = start_timeout_s
        self._addresses: Addresses | None = None
        self._children: dict[str, Child] = {}
        self._held = ExitStack()

    @property
    def addresses(self) -> Addresses:
        """Where the parts listen, once started."""
        if self._addresses is None:
            message = "the stack was not started"
            raise RuntimeError(message)
        return self._addresses

    def start(self) -> None:
        """Start everything and wait until it serves.

        Raises:
            FolderInUseError: Another stack runs on the folder.
            PortInUseError: Something else listens on one of the ports.
            ChildError: A process failed; the message holds the end of its log.
        """
        self._held.enter_context(self.folder)
        try:
            self._start_children()
        except BaseException:
            self.stop()
            raise

    def _start_children(self) -> None:
        attempts = _START_ATTEMPTS if self._wanted_ports.any_is_free_choice else 1
        for attempt in range(1, attempts + 1):
            ports = self._wanted_ports.chosen()
            self._addresses = Addresses.of(ports)
            self.folder.prepare(ports)
            self._children = self._make_children(self._addresses)
            try:
                self._bring_up()
            except ChildError as error:
                # Between choosing a free port and listening on it, somebody else can take it.
                if attempt == attempts or "annot listen" not in str(error):
                    raise
                self._stop_children()
            else:
                return

    def _make_children(self, addresses: Addresses) -> dict[str, Child]:
        settings = _settings(self.folder, addresses, self._databases)
        if not self._development:
            del settings["gateway"]["DEV_ISSUER"]
        if self._certificates is not None:
            for name, more in _of_certificates(self._certificates).items():
                settings[name].update(more)
        environments = {name: _environment(name, settings[name]) for name in SEPARATE}
        if not self._separate:
            everything = {k: v for each in environments.values() for k, v in each.items()}
            environments = {TOGETHER: everything}
        return {
            name: Child(
                # The gateway serves last, so when it does, all of its process does.
                ChildSpec(
                    name,
                    _MODULES[name],
                    getattr(addresses, name, addresses.gateway),
                    more,
                    self._credentials(name),
                ),
                self.folder.logs / f"{name}.log",
                self._say,
            )
            for name, more in environments.items()
        }

    def _credentials(self, name: str) -> grpc.ChannelCredentials | None:
        """With what a process is asked for its health."""
        if self._certificates is None or name not in {"tracking", "registry"}:
            return None
        ca, certificate, key = (
            (self._certificates / file).read_bytes()
            for file in ("services-ca.crt", "gateway.crt", "gateway.key")
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _bring_up(self) -> None:
        # All at once: most of a start is spent on imports, which need nobody else.
        for child in self._children.values():
            child.spawn()
        self.wait_serving()
        for child in self._children.values():
            child.supervise()

    def wait_serving(self) -> None:
        """Wait until every process, and the issuer with it, serves.

        Raises:
            ChildError: One ended, or the time is over.
        """
        for child in self._children.values():
            child.wait_serving(self._timeout_s)
        if self._development:
            self._wait_for_issuer()

    def _wait_for_issuer(self) -> None:
        url = f"{self.addresses.people_issuer}/.well-known/openid-configuration"
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                if httpx.get(url, timeout=2, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                last = list(self._children.values())[-1]
                tail = "\n  ".join(last.log_tail())
                message = f"{url} does not answer. The log ({last.log}) ends with:\n  {tail}"
                raise ChildError(message)
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop everything in order; nothing is left running."""
        self._stop_children()
        self._held.close()

    def _stop_children(self) -> None:
        while self._children:
            self._children.popitem()[1].stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill_child(self, name: str) -> int:
        """End one process with SIGKILL, as a crash would; it is started again.

        Returns:
            The process id that is no more.
        """
        child = self._children[name]
        pid = child.pid
        child.kill()
        return pid

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: child.pid for name, child in self._children.items()}

    def log_tail(self, name: str) -> list[str]:
        """The last lines that a process logged."""
        return self._children[name].log_tail()

    def service_secret(self) -> str:
        """The client secret of the demo's service account."""
        return self.folder.secret_file(demo_identities.SERVICE_CLIENT).read_text()

    def ci_secret(self) -> str:
        """The secret with which the demo's build agent asks the CI for tokens."""
        return self.folder.secret_file(demo_identities.CI_CLIENT).read_text()
