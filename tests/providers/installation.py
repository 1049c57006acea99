"""A gateway that believes all the providers, in front of a tracking service: two processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from local_stack import keys
from local_stack.child import Child, ChildSpec
from tests.free_ports import free_ports
from tests.providers.provider import START_S, WEB_ORIGIN, Provider

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self


def access_file(providers: Sequence[Provider]) -> str:
    """Rules under which the group trains and the service account serves, wherever they log in."""
    return yaml.safe_dump(
        {
            "version": 1,
            "issuers": {provider.name: provider.settings for provider in providers},
            "bindings": [
                {"role": role, "members": members, "resources": ["workspaces/main/**"]}
                for role, members in _members(providers).items()
            ],
        }
    )


def _members(providers: Sequence[Provider]) -> dict[str, list[str]]:
    accounts = [
        f"service:{provider.name}:{account['client_id']}"
        for provider in providers
        for account in provider.settings["service_accounts"]
    ]
    groups = [f"group:{provider.name}:data-science" for provider in providers]
    return {"trainer": groups, "viewer": accounts}


class Installation:
    """Started and stopped as a context manager.

    Args:
        folder: For keys, database and logs.
        providers: All that run.
    """

    def __init__(self, folder: Path, providers: Sequence[Provider]) -> None:
        keys.ensure_service_keys(folder)
        (folder / "access.yaml").write_text(access_file(providers))
        gateway, tracking = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.address = gateway
        trusted = {name: str(folder / f"{name}.pub.pem") for name in ("gateway", "registry")}
        settings = {
            "tracking": {
                "LISTEN": tracking,
                "DRAIN_SECONDS": "0",
                "DATABASE_URL": f"sqlite:///{folder / 'tracking.sqlite'}",
                "ARTIFACT_STORE": str(folder / "artifacts"),
                "PAGE_TOKEN_KEY_FILE": str(folder / "page-tokens"),
                "ASSERTION_TRUSTED_KEYS": json.dumps(trusted),
            },
            "gateway": {
                "LISTEN": gateway,
                "DRAIN_SECONDS": "0",
                "TRACKING_ADDRESS": tracking,
                "ACCESS_FILE": str(folder / "access.yaml"),
                "ASSERTION_PRIVATE_KEY": str(folder / "gateway.pem"),
                "KEY_FETCH_PAUSE_SECONDS": "1",
                "WEB_LISTEN": WEB_ORIGIN.removeprefix("http://"),
                "WEB_KEY_FILE": str(folder / "web"),
                "WEB_DATABASE_URL": f"sqlite:///{folder / 'web.sqlite'}",
            },
        }
        self._children = [
            Child(
                ChildSpec(
                    name,
                    module,
                    settings[name]["LISTEN"],
                    {
                        f"STUDBOOK_{name.upper()}_{key}": text
                        for key, text in settings[name].items()
                    },
                ),
                folder / f"{name}.log",
                print,
            )
            for name, module in (("tracking", "tracking_service"), ("gateway", "gateway"))
        ]

    @property
    def gateway_pid(self) -> int:
        return self._children[1].pid

    def __enter__(self) -> Self:
        for child in self._children:
            child.spawn()
        for child in self._children:
            child.wait_serving(START_S)
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.stop()
