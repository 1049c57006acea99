"""What a first start prepares, and what later starts leave alone."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from gateway.access_rules import load_rules
from gateway.dev_issuer.config import DevIssuerConfig
from gateway.dev_issuer.password_hash import verify_secret
from local_stack.data_folder import DataFolder, FolderInUseError, default_folder
from local_stack.ports import Ports

if TYPE_CHECKING:
    from pathlib import Path

PORTS = Ports(1, 2, 3, 4, 5)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    with folder:
        folder.prepare(PORTS)
    return folder


def private_files(folder: DataFolder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in folder.path.rglob("*")
        if path.is_file()
    }


def test_nobody_else_can_read_it(folder: DataFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    modes = {stat.S_IMODE((folder.path / name).stat().st_mode) for name in private_files(folder)}
    assert modes == {0o600}


def test_a_second_start_changes_nothing(folder: DataFolder) -> None:
    before = private_files(folder)

    with folder:
        folder.prepare(PORTS)

    assert private_files(folder) == before


def test_edits_survive_a_change_of_ports(folder: DataFolder) -> None:
    edited = folder.access_file.read_text() + "# our own note\n"
    folder.access_file.write_text(edited)

    with folder:
        folder.prepare(Ports(1, 22, 3, 4, 5))

    text = folder.access_file.read_text()
    assert text.endswith("# our own note\n")
    assert set(load_rules(text).issuers) == {
        "http://127.0.0.1:22/people",
        "http://127.0.0.1:22/ci",
    }
    assert DevIssuerConfig.read(folder.dev_issuer).issuer == "http://127.0.0.1:22/people"


def test_clients_of_the_issuer_follow_the_pages(folder: DataFolder) -> None:
    with folder:
        # Each moves to where the other one was.
        folder.prepare(Ports(1, 5, 3, 4, 2))

    config = DevIssuerConfig.read(folder.dev_issuer)
    pages = next(client for client in config.clients if client.client_id == "studbook-web")
    assert config.issuer == "http://127.0.0.1:5/people"
    assert pages.redirect_uris == ("http://127.0.0.1:2/callback",)
    assert pages.post_logout_redirect_uris == ("http://127.0.0.1:2/signed-out",)


def test_secrets_fit_the_issuers_hashes(folder: DataFolder) -> None:
    config = DevIssuerConfig.read(folder.dev_issuer)
    hashes = {client.client_id: client.secret_hash for client in config.clients}

    assert verify_secret(folder.secret_file("serving").read_text(), hashes["serving"] or "")
    assert config.ci is not None
    assert verify_secret(folder.secret_file("ci").read_text(), config.ci.clients[0].secret_hash)


def test_one_stack_at_a_time(folder: DataFolder) -> None:
    with folder, pytest.raises(FolderInUseError, match="--data"), DataFolder(folder.path):
        pass


@pytest.mark.parametrize(
    ("principal", "groups", "permission", "resource", "allowed"),
    [
        ("user:dev:ada", ["group:dev:data-science"], "models.register", "models/m", True),
        ("user:dev:ada", ["group:dev:data-science"], "models.promote", "models/m", False),
        ("user:dev:grace", ["group:dev:release-managers"], "models.promote", "models/m", True),
        ("user:dev:grace", ["group:dev:release-managers"], "runs.read", "experiments/e", True),
        ("user:dev:max", ["group:dev:auditors"], "ledger.read", "models/m", True),
        ("user:dev:max", ["group:dev:auditors"], "runs.write", "experiments/e", False),
        ("pipeline:release", [], "models.promote", "models/m", True),
        ("pipeline:release", [], "runs.write", "experiments/e", False),
        ("service:dev:serving", [], "models.serve", "models/m", True),
        ("service:dev:serving", [], "models.read", "models/m", False),
    ],
)
def test_demo_identities_may_do_their_job_only(
    folder: DataFolder,
    principal: str,
    groups: list[str],
    permission: str,
    resource: str,
    *,
    allowed: bool,
) -> None:
    rules = load_rules(folder.access_file.read_text())
    held = rules.holdings(principal, groups, now_s=0)
    verdict = rules.explain(principal, held, permission, f"workspaces/main/{resource}")

    assert verdict.allowed is allowed


def test_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    assert default_folder() == tmp_path / "studbook"
