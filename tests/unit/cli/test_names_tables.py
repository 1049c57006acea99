"""Aliases and what instances have loaded, as text."""

from __future__ import annotations

import pytest

from studbook.cli import alias_tables, model_tables
from studbook.identity.v1 import principal_pb2
from studbook.registry.v1 import (
    alias_pb2,
    alias_service_pb2,
    loaded_pb2,
    model_pb2,
    version_pb2,
)

MODEL = "workspaces/main/models/wine-cultivar"
ADA = principal_pb2.Principal(id="user:dev:ada", display_name="Ada")


def make_report(
    instance: str, match: loaded_pb2.LoadedMatch.ValueType, seen: str = "2026-03-03T15:00:00Z"
) -> loaded_pb2.LoadedVersion:
    report = loaded_pb2.LoadedVersion(
        instance=instance, version=f"{MODEL}/versions/1.2.0", match=match, reporter=ADA
    )
    report.load_time.FromJsonString("2026-03-03T14:30:00Z")
    report.report_time.FromJsonString(seen)
    return report


def shown(
    capsys: pytest.CaptureFixture[str], *reports: loaded_pb2.LoadedVersion, production: str = ""
) -> list[str]:
    version = version_pb2.Version(
        name=f"{MODEL}/versions/1.2.0",
        version="1.2.0",
        stage=version_pb2.STAGE_PRODUCTION,
        aliases=["champion"],
    )
    version.stage_time.FromJsonString("2026-03-03T14:05:00.000001Z")
    model = model_pb2.Model(name=MODEL, production_version=production, protected_aliases=["a"])
    model_tables.print_model(model, [version], reports)
    return capsys.readouterr().out.splitlines()


def test_what_is_loaded_stands_beside_what_is_in_production(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(
        capsys,
        make_report("pod-1", loaded_pb2.LOADED_MATCH_PRODUCTION),
        make_report("pod-2", loaded_pb2.LOADED_MATCH_PRODUCTION, "2026-03-03T16:00:00Z"),
        make_report("pod-3", loaded_pb2.LOADED_MATCH_OTHER_VERSION),
        make_report("pod-4", loaded_pb2.LOADED_MATCH_OTHER_BYTES),
        production=f"{MODEL}/versions/1.2.0",
    )
    assert (
        "Production\t1.2.0 since 2026-03-03T14:05:00.000001Z; loaded by 2 instances, "
        "last seen 2026-03-03T16:00:00Z"
    ) in lines
    assert "Mismatch\t2 instances loaded something else than what is in Production" in lines
    assert "Protected aliases\ta" in lines
    table = [line.split("\t")[:3] for line in lines[lines.index("# Loaded") + 1 :]]
    assert table == [
        ["pod-4", "1.2.0", "OTHER BYTES"],
        ["pod-3", "1.2.0", "another version"],
        ["pod-1", "1.2.0", "as in Production"],
        ["pod-2", "1.2.0", "as in Production"],
    ]


def test_a_model_that_nobody_has_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, production=f"{MODEL}/versions/1.2.0")
    assert any("no instance has reported" in line for line in lines)
    assert not any(line.startswith(("Mismatch", "# Loaded")) for line in lines)
    assert "Production\tnone" in shown(capsys)


def test_aliases_are_shown_with_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    past = alias_pb2.Alias(
        name=f"{MODEL}/aliases/champion",
        version=f"{MODEL}/versions/1.1.0",
        actor=ADA,
        reason="best so far",
        is_protected=True,
    )
    past.start_time.FromJsonString("2026-03-03T14:05:00Z")
    present = alias_pb2.Alias()
    present.CopyFrom(past)
    past.end_time.FromJsonString("2026-03-04T14:05:00Z")
    alias_tables.print_aliases([present, past])
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("\t")[:4] == [
        "champion (protected)",
        "1.1.0",
        "2026-03-03T14:05:00Z",
        "now",
    ]
    assert second.split("\t")[3:] == ["2026-03-04T14:05:00Z", "user:dev:ada", "best so far"]


@pytest.mark.parametrize(
    ("former", "unchanged", "dry_run", "says"),
    [
        ("", False, False, "champion names wine-cultivar@1.2.0 now."),
        ("1.1.0", False, False, "not wine-cultivar@1.1.0 any more."),
        ("", True, False, "champion names wine-cultivar@1.2.0 already; nothing was changed."),
        ("", False, True, "champion may name wine-cultivar@1.2.0; nothing was changed."),
    ],
)
def test_a_move_is_told_in_sentences(
    capsys: pytest.CaptureFixture[str], former: str, unchanged: bool, dry_run: bool, says: str
) -> None:
    answer = alias_service_pb2.SetAliasResponse(
        alias=alias_pb2.Alias(
            name=f"{MODEL}/aliases/champion", version=f"{MODEL}/versions/1.2.0", ledger_position=7
        ),
        former_version=f"{MODEL}/versions/{former}" if former else "",
        unchanged=unchanged,
    )
    alias_tables.print_set(answer, dry_run=dry_run)
    out = capsys.readouterr().out
    assert says in out
    assert ("Ledger entry 7." in out) == (not unchanged and not dry_run)
