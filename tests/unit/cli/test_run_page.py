"""The page of one run, and the pieces of runs as text."""

from __future__ import annotations

import pytest

from studbook.cli import run_page, run_text
from studbook.tracking.v1 import artifact_pb2, metric_pb2, run_pb2
from tests.unit.cli.made_runs import make_full_run, make_run


def page(capsys: pytest.CaptureFixture[str], run: run_pb2.Run, *sizes: int) -> list[str]:
    artifacts = [artifact_pb2.Artifact(path=str(size), size_bytes=size) for size in sizes]
    run_page.print_run(run, artifacts)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (run_pb2.ParamValue(string_value="adam"), "adam"),
        (run_pb2.ParamValue(int_value=3), "3"),
        (run_pb2.ParamValue(double_value=3.0), "3.0"),
        (run_pb2.ParamValue(bool_value=False), "False"),
        (run_pb2.ParamValue(), "-"),
    ],
)
def test_parameters_are_printed_in_the_type_they_were_logged_in(
    value: run_pb2.ParamValue, printed: str
) -> None:
    assert run_text.param_text(value) == printed


def test_a_state_that_is_newer_than_the_client_is_printed_as_its_number() -> None:
    run = run_pb2.Run()
    run.MergeFromString(run_pb2.Run(state=run_pb2.RUN_STATE_KILLED).SerializeToString())
    assert run_text.state_text(run.state) == "killed"
    run.MergeFromString(b"\x28\x63")
    assert run_text.state_text(run.state) == "state 99"
    # Its program may be going on.
    assert not run_text.has_ended(run)


def test_clocks_that_were_set_give_no_negative_duration() -> None:
    run = make_run()
    run.end_time.FromJsonString("2026-03-03T14:00:00Z")

    assert run_text.duration_text(run) == "0.0 s"


def test_a_run_is_printed_with_everything_that_was_recorded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = page(capsys, make_full_run(), 1000, 1048)

    for line in (
        "Run\twine/otter",
        "State\tfinished",
        "Created by\tAda",
        "Started\t2026-03-03T14:05:00.750000Z",
        "Ended\t2026-03-03T14:07:05.750000Z",
        "Duration\t2 min 05 s",
        "Tags\tteam=cellar",
        "Program\ttrain.py",
        "Repository\tgit@github.com:plant/wine.git",
        "Branch\tmain",
        f"Commit\t{'c0ffee' * 6}c0ff (dirty)",
        f"Patch\tstudbook/code.patch (sha256:{'1b' * 32})",
        "Untracked\ta.txt, b.txt",
        "Command\tpython train.py '--name=a b'",
        "Python\tCPython 3.11.7, 2 packages",
        "Host\tgpu-3",
        "Platform\tLinux-6.1 x86_64",
        "Processor\tAMD EPYC 7763, 8 processors",
        "Memory\t16.0 GiB",
        "Accelerator\tNVIDIA A100",
        f"Container image\tsha256:{'2c' * 32}",
        "Artifacts\t2 files, 2.0 KiB",
        "C\t0.5",
        "val/loss\t0.25\t0.125\t0\t0\t4\t30\t20\t0",
        "training\twine@0a1b\tsha256:" + "0a" * 32,
    ):
        assert line in lines


def test_what_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    lines = page(capsys, make_run())

    labels = {line.partition("\t")[0] for line in lines}
    assert not labels & {"Commit", "Patch", "Python", "Conda", "Host", "Memory", "Last heard of"}
    assert "Artifacts\tnone" in lines


def test_a_run_that_never_said_when_it_started_says_when_it_was_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = run_pb2.Run(name=make_run().name, state=run_pb2.RUN_STATE_FINISHED)
    run.create_time.FromJsonString("2026-03-03T14:05:00Z")

    lines = page(capsys, run)

    assert "Created\t2026-03-03T14:05:00Z" in lines
    assert not any(line.startswith(("Started", "Ended", "Duration", "Deleted")) for line in lines)


def test_a_run_that_goes_on_says_when_it_was_last_heard_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run()
    run.state = run_pb2.RUN_STATE_STALE
    run.ClearField("end_time")

    assert "Last heard of\t2026-03-03T14:07:04Z" in page(capsys, run)


def test_how_a_run_ended(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    run.ClearField("exit_code")
    run.state, run.signal = run_pb2.RUN_STATE_KILLED, "SIGTERM"
    run.state_reason = "stopped by the scheduler"

    lines = page(capsys, run)

    assert "State\tkilled: stopped by the scheduler" in lines
    assert "Ended by\tSIGTERM" in lines


@pytest.mark.parametrize(("code", "printed"), [(0, []), (3, ["Ended by\texit code 3"])])
def test_an_exit_code_is_printed_when_it_tells_something(
    capsys: pytest.CaptureFixture[str], code: int, printed: list[str]
) -> None:
    run = make_run()
    run.exit_code = code

    assert [line for line in page(capsys, run) if line.startswith("Ended by")] == printed


def test_a_patch_that_was_too_large_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_full_run()
    run.code.diff_artifact = ""

    assert f"Patch\tsha256:{'1b' * 32}, not stored" in page(capsys, run)


def test_of_many_files_only_some_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_full_run()
    run.code.untracked_files[:] = [f"{number}.txt" for number in range(9)]
    run.code.untracked_count = 9

    lines = page(capsys, run, *[1] * (run_page.MOST_COUNTED + 1))

    assert "Untracked\t9 files: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, …" in lines
    assert "Artifacts\tmore than 1000 files" in lines


def test_metrics_of_the_machine_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    run.metrics.insert(0, metric_pb2.MetricSummary(key="system/cpu", last=3.0, count=1))

    lines = page(capsys, run)

    own, machine = lines.index("# Metrics"), lines.index("# Metrics of the machine")
    assert own < machine
    assert lines[own + 1].startswith("val/loss\t")
    assert lines[machine + 1].startswith("system/cpu\t3\t")


def test_people_see_where_the_smallest_value_was(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    lines = page(capsys, make_full_run())

    assert any("0.125 (20)" in line and line.startswith("val/loss") for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_text_of_a_run_cannot_drive_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    run = make_run()
    run.description = "first line\nsecond \x1b]0;title\x07line"

    lines = page(capsys, run)

    assert not any("\x1b" in line for line in lines)
    assert any(line.strip().startswith("second") for line in lines)
