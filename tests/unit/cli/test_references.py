"""What people type, and the resource names behind it."""

from datetime import UTC, datetime

import pytest
import typer

from studbook.cli import references
from studbook.exceptions import InvalidArgument
from studbook.model_reference import Reference, parse_reference

WORKSPACE = "workspaces/main"
MODEL = "workspaces/main/models/wine-cultivar"


def test_a_version_to_register_needs_a_number() -> None:
    assert references.numbered_version("wine-cultivar@v1.2.0").version == "1.2.0"
    with pytest.raises(typer.BadParameter, match=r"NAME@1\.2\.0"):
        references.numbered_version("wine-cultivar@production")


@pytest.mark.parametrize("typed", ["wine-cultivar@production", f"{MODEL}/versions/1.2.0"])
def test_a_selector_is_told_from_a_bare_model(typed: str) -> None:
    assert references.names_version(typed)
    assert not references.names_version("wine-cultivar")
    assert not references.names_version(MODEL)


def test_a_run_is_found_by_any_of_its_names() -> None:
    full = "workspaces/main/experiments/wine/runs/brave-otter"
    assert references.run_reference(full, WORKSPACE).name == full
    inside = references.run_reference("wine/brave-otter", WORKSPACE)
    assert (inside.parent, inside.run_id) == ("workspaces/main/experiments/wine", "brave-otter")
    anywhere = references.run_reference("brave", WORKSPACE)
    assert (anywhere.parent, anywhere.run_id) == ("workspaces/main/experiments/-", "brave")


def test_an_id_made_by_a_machine_is_known_to_be_whole() -> None:
    typed = "wine/0123456789abcdef0123456789abcdef"
    full = "workspaces/main/experiments/wine/runs/0123456789abcdef0123456789abcdef"
    assert references.run_reference(typed, WORKSPACE).name == full
    assert references.run_reference(typed[:-1], WORKSPACE).name == ""
    # Of which experiment, only the server knows.
    assert references.run_reference(typed.partition("/")[2], WORKSPACE).name == ""


def test_an_id_made_by_a_machine_is_shortened_for_people() -> None:
    name = "workspaces/main/experiments/wine/runs/0123456789abcdef0123456789abcdef"
    assert references.run_label(name) == "wine/0123456789ab"
    assert references.short_run(name) == "wine/0123456789abcdef0123456789abcdef"
    assert references.run_label("workspaces/main/experiments/wine/runs/otter") == "wine/otter"


@pytest.mark.parametrize("typed", ["", "/", "wine/", "/otter", "a/b/c", "wine/..", "Wine/otter"])
def test_what_is_no_run_is_a_usage_error(typed: str) -> None:
    with pytest.raises(typer.BadParameter):
        references.run_reference(typed, WORKSPACE)


def test_all_experiments_are_meant_when_none_is_named() -> None:
    assert references.experiment_name("", WORKSPACE) == "workspaces/main/experiments/-"
    assert references.experiment_name("wine", WORKSPACE) == "workspaces/main/experiments/wine"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", None),
        ("none", "none"),
        ("1.0.0", "1.0.0"),
        ("v1.0.0", "1.0.0"),
        ("wine-cultivar@1.0.0", "1.0.0"),
        (f"{MODEL}/versions/1.0.0", "1.0.0"),
    ],
)
def test_expected_production_is_a_version_or_none(typed: str, meant: str | None) -> None:
    assert references.expected_production(typed) == meant


@pytest.mark.parametrize("typed", ["staging", "1.0", "latest", "wine-cultivar"])
def test_expecting_anything_else_is_refused(typed: str) -> None:
    with pytest.raises((typer.BadParameter, InvalidArgument)):
        references.expected_production(typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-03-03T14:05:00Z", datetime(2026, 3, 3, 14, 5, tzinfo=UTC)),
        ("2026-03-03T14:05Z", datetime(2026, 3, 3, 14, 5, tzinfo=UTC)),
        ("2026-03-03T15:05:00+01:00", datetime(2026, 3, 3, 14, 5, tzinfo=UTC)),
        ("2026-03-03T14:05:00.123456Z", datetime(2026, 3, 3, 14, 5, 0, 123456, tzinfo=UTC)),
    ],
)
def test_moments_are_exact(typed: str, meant: datetime) -> None:
    assert references.moment(typed) == meant


@pytest.mark.parametrize("typed", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-03-03T14:05:00"])
def test_a_moment_without_its_zone_is_a_usage_error(typed: str) -> None:
    with pytest.raises(typer.BadParameter):
        references.moment(typed)


def test_short_forms_can_be_typed_again() -> None:
    version = f"{MODEL}/versions/1.2.0"
    assert references.short_version(version) == "wine-cultivar@1.2.0"
    assert parse_reference(version) == Reference("wine-cultivar", "main", version="1.2.0")
    run = "workspaces/main/experiments/wine/runs/brave-otter"
    read = references.run_reference(references.short_run(run), WORKSPACE)
    assert f"{read.parent}/runs/{read.run_id}" == run
