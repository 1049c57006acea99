"""What people type, and the resource names behind it."""

from datetime import UTC, datetime

import pytest
import typer

from studbook.cli import references
from studbook.cli.references import VersionReference

WORKSPACE = "workspaces/main"
MODEL = "workspaces/main/models/wine-cultivar"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("wine-cultivar", VersionReference(MODEL)),
        ("wine-cultivar@1.2.0", VersionReference(MODEL, number="1.2.0")),
        ("wine-cultivar@v1.2.0", VersionReference(MODEL, number="1.2.0")),
        ("wine-cultivar@1.2.0-rc.1", VersionReference(MODEL, number="1.2.0-rc.1")),
        ("wine-cultivar@production", VersionReference(MODEL, stage="production")),
        ("wine-cultivar@Production", VersionReference(MODEL, stage="production")),
        (MODEL, VersionReference(MODEL)),
        (f"{MODEL}/versions/1.2.0", VersionReference(MODEL, number="1.2.0")),
    ],
)
def test_versions_are_read_as_typed(typed: str, meant: VersionReference) -> None:
    assert references.version_reference(typed, WORKSPACE) == meant


@pytest.mark.parametrize(
    "typed", ["", "@1.0.0", "Wine", "wine cultivar", "wine@", "wine@latest", "wine@1.2", "../x"]
)
def test_what_is_no_version_is_a_usage_error(typed: str) -> None:
    with pytest.raises(typer.BadParameter):
        references.version_reference(typed, WORKSPACE)


def test_a_version_to_register_needs_a_number() -> None:
    with pytest.raises(typer.BadParameter, match=r"NAME@1\.2\.0"):
        references.numbered_version("wine-cultivar@production", WORKSPACE)


def test_a_run_is_found_by_any_of_its_names() -> None:
    full = "workspaces/main/experiments/wine/runs/brave-otter"
    assert references.run_reference(full, WORKSPACE).name == full
    assert references.run_reference("wine/brave-otter", WORKSPACE).name == full
    assert references.run_reference("brave-otter", WORKSPACE).name == ""
    assert references.run_reference("brave-otter", WORKSPACE).run_id == "brave-otter"


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
        ("", ""),
        ("none", "none"),
        ("1.0.0", f"{MODEL}/versions/1.0.0"),
        ("v1.0.0", f"{MODEL}/versions/1.0.0"),
        ("wine-cultivar@1.0.0", f"{MODEL}/versions/1.0.0"),
        (f"{MODEL}/versions/1.0.0", f"{MODEL}/versions/1.0.0"),
    ],
)
def test_expected_production_is_a_version_or_none(typed: str, meant: str) -> None:
    assert references.expected_production(typed, MODEL) == meant


def test_expecting_a_stage_in_production_is_a_usage_error() -> None:
    with pytest.raises(typer.BadParameter):
        references.expected_production("staging", MODEL)


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
    assert references.version_reference("wine-cultivar@1.2.0", WORKSPACE).version == version
    run = "workspaces/main/experiments/wine/runs/brave-otter"
    assert references.run_reference(references.short_run(run), WORKSPACE).name == run
