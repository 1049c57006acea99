"""Models, stage changes and lineage as text."""

import pytest

from studbook.cli import audit_tables, lineage_page, model_tables
from studbook.identity.v1 import principal_pb2
from studbook.registry.v1 import (
    ledger_pb2,
    lineage_pb2,
    lineage_service_pb2,
    promotion_service_pb2,
    serving_service_pb2,
    version_pb2,
)

MODEL = "workspaces/main/models/wine-cultivar"
DIGEST = "sha256:" + "ab" * 32


def make_version(number: str, stage: version_pb2.Stage.ValueType) -> version_pb2.Version:
    version = version_pb2.Version(
        name=f"{MODEL}/versions/{number}",
        version=number,
        state=version_pb2.VERSION_STATE_READY,
        stage=stage,
        source_run="workspaces/main/experiments/wine/runs/otter",
        digest=DIGEST,
        files=[version_pb2.ModelFile(path="model.joblib", digest=DIGEST, size_bytes=2048)],
        creator=principal_pb2.Principal(id="user:dev:ada", display_name="Ada"),
    )
    version.stage_time.FromJsonString("2026-03-03T14:05:00.000001Z")
    version.create_time.FromJsonString("2026-03-03T13:00:00Z")
    return version


def pipeline() -> principal_pb2.Principal:
    return principal_pb2.Principal(
        id="pipeline:wine-release",
        kind=principal_pb2.PRINCIPAL_KIND_PIPELINE,
        pipeline_claims={"repository": "acme/wine", "sha": "c0ffee", "ref": "refs/heads/main"},
    )


def make_transition() -> promotion_service_pb2.Transition:
    change = promotion_service_pb2.Transition(
        name=f"{MODEL}/transitions/4",
        version=f"{MODEL}/versions/1.0.0",
        from_stage=version_pb2.STAGE_NONE,
        to_stage=version_pb2.STAGE_PRODUCTION,
        reason="best so far",
        actor=pipeline(),
        cause=promotion_service_pb2.TRANSITION_CAUSE_REQUESTED,
    )
    change.create_time.FromJsonString("2026-03-03T14:05:00.000001Z")
    change.end_time.FromJsonString("2026-03-04T09:00:00Z")
    return change


def test_a_promotion_is_told_in_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    answer = promotion_service_pb2.TransitionStageResponse(
        version=make_version("1.1.0", version_pb2.STAGE_PRODUCTION),
        displaced=make_version("1.0.0", version_pb2.STAGE_ARCHIVED),
        ledger_position=7,
    )
    model_tables.print_moved(answer, "production", dry_run=False)
    assert capsys.readouterr().out.splitlines() == [
        "wine-cultivar@1.1.0 is in Production now.",
        "wine-cultivar@1.0.0 became Archived in the same transaction.",
        "Ledger entry 7.",
    ]


def test_a_dry_run_and_a_repetition_say_that_nothing_was_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = promotion_service_pb2.TransitionStageResponse(
        version=make_version("1.1.0", version_pb2.STAGE_NONE)
    )
    model_tables.print_moved(answer, "production", dry_run=True)
    answer.unchanged = True
    model_tables.print_moved(answer, "production", dry_run=False)
    may, already = capsys.readouterr().out.splitlines()
    assert may == "wine-cultivar@1.1.0 may move to Production; nothing was changed."
    assert already == "wine-cultivar@1.1.0 is in Production already; nothing was changed."


def test_history_says_who_put_what_where_and_until_when(
    capsys: pytest.CaptureFixture[str],
) -> None:
    displaced = make_transition()
    displaced.ClearField("end_time")
    displaced.from_stage, displaced.to_stage = displaced.to_stage, version_pb2.STAGE_ARCHIVED
    displaced.cause = promotion_service_pb2.TRANSITION_CAUSE_DISPLACED
    displaced.caused_by = f"{MODEL}/transitions/9"
    model_tables.print_history([displaced, make_transition()])
    newest, oldest = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert oldest == [
        "2026-03-03T14:05:00.000001Z",
        "1.0.0",
        "None > Production",
        "2026-03-04T09:00:00Z",
        "requested",
        "pipeline:wine-release",
        "best so far",
    ]
    assert newest[2:5] == ["Production > Archived", "now", "displaced by 9"]


def test_history_for_people_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    model_tables.print_history([make_transition()])
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["TIME", "VERSION", "CHANGE", "STAYED", "CAUSE", "BY", "REASON"]
    assert "2026-03-03T14:05:00Z  1.0.0    None > Production  18 h 55 min" in row
    assert "pipeline:wine-release" in row


def test_a_resolved_version_says_when_it_stood_there(capsys: pytest.CaptureFixture[str]) -> None:
    answer = serving_service_pb2.ResolveVersionResponse(
        version=make_version("1.0.0", version_pb2.STAGE_ARCHIVED),
        stage=version_pb2.STAGE_PRODUCTION,
    )
    answer.stage_start_time.FromJsonString("2026-03-03T14:05:00Z")
    answer.stage_end_time.FromJsonString("2026-03-04T09:00:00Z")
    model_tables.print_resolved(answer, "2026-03-03T15:00:00Z")
    lines = capsys.readouterr().out.splitlines()
    assert "Version\twine-cultivar@1.0.0" in lines
    assert (
        "Resolved as\tProduction at 2026-03-03T15:00:00Z, "
        "from 2026-03-03T14:05:00Z until 2026-03-04T09:00:00Z"
    ) in lines
    assert any(line.startswith("Stage now\tArchived since") for line in lines)
    assert f"model.joblib\t2048\t{DIGEST}" in lines


def make_lineage() -> lineage_service_pb2.GetLineageResponse:
    run = lineage_pb2.LineageRun(
        name="workspaces/main/experiments/wine/runs/otter",
        display_name="forest",
        state="FINISHED",
        creator=principal_pb2.Principal(id="user:dev:ada", display_name="Ada"),
        params=[
            lineage_pb2.LineageParam(key="n_estimators", int_value=200),
            lineage_pb2.LineageParam(key="bootstrap", bool_value=True),
        ],
        metrics=[
            lineage_pb2.LineageMetric(key="cv/accuracy", last=0.98325, count=5),
            lineage_pb2.LineageMetric(key="system/cpu/percent", last=35.5, count=9),
        ],
    )
    dataset = lineage_pb2.LineageDataset(
        name="workspaces/main/datasets/wine/versions/ab",
        role="training",
        digest=DIGEST,
        source="sklearn.datasets.load_wine",
        row_count=133,
        columns=[lineage_pb2.LineageColumn(name="alcohol", type="double")],
    )
    lineage = lineage_pb2.Lineage(
        run=run,
        datasets=[dataset],
        code=lineage_pb2.LineageCode(
            repository="https://git.example/acme/wine", commit="c0ffee" * 7, branch="main",
            dirty=True, diff_digest=DIGEST, entry_point="train_wine.py",
        ),
        environment=lineage_pb2.LineageEnvironment(
            python_version="3.11.7",
            platform="Linux",
            packages={"scikit-learn": "1.9.1", "numpy": "2.4.6", "six": "1.17"},
        ),
    )  # fmt: skip
    return lineage_service_pb2.GetLineageResponse(
        version=make_version("1.0.0", version_pb2.STAGE_ARCHIVED),
        lineage=lineage,
        transitions=[make_transition()],
    )


def test_lineage_answers_every_question_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    lineage_page.print_lineage(make_lineage())
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) < 25
    for answer in (
        "wine-cultivar@1.0.0, in Archived since",
        'run wine/otter "forest", finished',
        "n_estimators=200, bootstrap=True",
        "cv/accuracy 0.98325",
        "training: wine, 133 rows, 1 column, sha256:abababababab, from sklearn.datasets.load_wine",
        "commit c0ffeec0ffee on branch main of https://git.example/acme/wine, with",
        "with uncommitted changes (difference sha256:abababababab), started train_wine.py",
        "scikit-learn 1.9.1, numpy 2.4.6, 3 packages in all",
        "2026-03-03T13:00:00Z by Ada (user:dev:ada)",
        "Production from 2026-03-03T14:05:00.000001Z until 2026-03-04T09:00:00Z",
        "pipeline:wine-release [repository acme/wine, ref refs/heads/main, sha c0ffee]",
        '"best so far"',
    ):
        assert answer in printed


def test_the_load_of_the_machine_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    lineage_page.print_lineage(make_lineage())
    lines = capsys.readouterr().out.splitlines()
    assert "Result\tcv/accuracy 0.98325" in lines
    assert "Its load\tsystem/cpu/percent 35.5" in lines


def test_lineage_says_what_was_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    answer = make_lineage()
    answer.lineage.ClearField("code")
    answer.lineage.ClearField("environment")
    lineage_page.print_lineage(answer)
    lines = capsys.readouterr().out.splitlines()
    assert "From code\tnot recorded" in lines
    assert "Running on\tnot recorded" in lines


def test_the_ledger_also_shows_what_was_refused(capsys: pytest.CaptureFixture[str]) -> None:
    entry = ledger_pb2.LedgerEntry(
        position=5,
        action="version.transition",
        resource=f"{MODEL}/versions/1.0.0",
        outcome=ledger_pb2.LEDGER_OUTCOME_REFUSED,
        reason="models.promote is missing",
        actor=principal_pb2.Principal(id="user:dev:ada", display_name="Ada"),
    )
    audit_tables.print_entries([entry])
    assert capsys.readouterr().out.split("\t") == [
        "5",
        "-",
        "version.transition",
        "refused",
        "wine-cultivar@1.0.0",
        "user:dev:ada",
        "models.promote is missing\n",
    ]


def test_who_broke_the_glass_is_told_for_ever() -> None:
    change = promotion_service_pb2.Transition(
        cause=promotion_service_pb2.TRANSITION_CAUSE_REQUESTED, broke_glass=True
    )
    assert model_tables.cause_text(change) == "requested, broke the glass"
