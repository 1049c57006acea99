"""The deployment example names settings that exist, and all that are required."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gateway.access_rules import load_rules
from gateway.settings import GatewaySettings
from local_stack.service_certificates import ensure_service_certificates
from registry_service.settings import RegistrySettings
from tracking_service.settings import TrackingSettings

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SETTINGS: dict[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "tracking": TrackingSettings,
    "registry": RegistrySettings,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_compose_sets_what_exists_and_all_that_is_required(name: str) -> None:
    settings = SETTINGS[name]
    prefix = settings.model_config.get("env_prefix", "")
    given = {
        variable.removeprefix(prefix).lower()
        for variable in COMPOSE["services"][name]["environment"]
        if variable.startswith("STUDBOOK_")
    }
    assert given <= settings.model_fields.keys()
    required = {key for key, field in settings.model_fields.items() if field.is_required()}
    assert required <= given


@pytest.mark.parametrize("name", SETTINGS)
def test_compose_says_of_each_dependency_how_far_it_must_be(name: str) -> None:
    """The Compose specification asks for it; a file without is refused as a whole."""
    conditions = {
        needed: how.get("condition")
        for needed, how in COMPOSE["services"][name]["depends_on"].items()
    }
    assert conditions.pop("database") == "service_healthy"
    assert set(conditions.values()) <= {"service_started"}


def test_services_are_not_published() -> None:
    published = {name for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"gateway"}


def test_every_hop_has_certificates_on_both_sides(tmp_path: Path) -> None:
    config = tmp_path / "config"
    ensure_service_certificates(tmp_path / "authority", config, {}, days=90)
    made = {path.name for path in config.iterdir()}
    called = {"TLS_CERTIFICATE", "TLS_PRIVATE_KEY", "TLS_CLIENT_CA"}
    calling = {"SERVICES_CA", "SERVICES_CERTIFICATE", "SERVICES_PRIVATE_KEY"}
    expected = {"tracking": called, "registry": called | calling, "gateway": calling}
    for name, settings in expected.items():
        environment = COMPOSE["services"][name]["environment"]
        for setting in settings:
            path = environment[f"STUDBOOK_{name.upper()}_{setting}"]
            assert Path(path).parent == Path("/config")
            assert Path(path).name in made


def test_example_access_file_loads() -> None:
    text = (ROOT / "deploy" / "access.example.yaml").read_text()
    rules = load_rules(text)
    held = rules.holdings("pipeline:release", (), 0).patterns(["models.promote"])[0]
    assert held == {"models.promote": ("workspaces/main/models/**",)}
