"""The three forms of output: tables, tab-separated rows, JSON."""

import json
import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from studbook.cli import output
from studbook.registry.v1.promotion_service_pb2 import Transition
from studbook.registry.v1.version_pb2 import Stage
from studbook.tracking.v1.metric_pb2 import MetricSummary
from studbook.tracking.v1.run_pb2 import Run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as for a terminal of 100 columns, without colours."""
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.usefixtures("terminal")
def test_no_word_of_a_table_is_broken_in_two(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    output.print_table(("RUN", "DATA"), [("wine/otter", "training=wine-training@15a799dd59c0, x")])
    assert "training=wine-training@15a799dd59c0," in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_wide_characters_take_no_room_from_other_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    output.print_table(("RUN", "NAME", "STATE"), [("wine/otter", "模型训练" * 10, "finished")])
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["wine/otter", "模型训练" * 10, "finished"]


def test_a_text_is_cut_by_the_cells_that_it_takes() -> None:
    assert output.shortened("otter", 5) == "otter"
    assert output.shortened("otters", 5) == "otte…"
    assert output.shortened("模型训练", 8) == "模型训练"
    assert output.shortened("模型训练", 7) == "模型训…"
    assert output.shortened("模型训练", 6) == "模型…"


def test_a_piped_table_is_tab_separated_without_headings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(("RUN", "STATE"), [("wine/otter", "finished"), ("wine/vole", "failed")])
    assert capsys.readouterr().out == "wine/otter\tfinished\nwine/vole\tfailed\n"


def test_a_cell_cannot_break_the_row_or_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(("A", "B"), [("one\ttwo\nthree", "\x1b[31mred")])
    assert capsys.readouterr().out == "one two three\t\ufffd[31mred\n"


@pytest.mark.usefixtures("terminal")
def test_a_table_for_people_has_headings_and_aligned_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(("RUN", "STATE"), [("wine/otter", "finished"), ("wine/v", "failed")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["RUN         STATE", "wine/otter  finished", "wine/v      failed"]


@pytest.mark.usefixtures("terminal")
def test_an_empty_table_says_to_people_that_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("RUN", "STATE"), [])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["RUN     STATE", "(none)"]


def test_an_empty_table_is_nothing_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("RUN", "STATE"), [])
    assert not capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_what_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("A",), [("[bold]x[/bold] :smile:",)])
    assert "[bold]x[/bold] :smile:" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_no_color_is_respected(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_heading("Metrics")
    output.print_fields([("Run", "wine/otter")])
    printed = capsys.readouterr().out
    assert "Metrics" in printed
    assert "\x1b" not in printed


@pytest.mark.usefixtures("terminal")
def test_a_repeated_label_is_shown_to_people_once(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields([("Files", "a"), ("Files", "b"), ("Empty", "")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Files  a", "       b"]


def test_a_repeated_label_stays_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields([("Files", "a"), ("Files", "b"), ("Empty", "")])
    assert capsys.readouterr().out == "Files\ta\nFiles\tb\n"


def test_json_has_the_contracts_names_and_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    change = Transition(name="n", to_stage=Stage.STAGE_PRODUCTION)
    change.create_time.FromJsonString("2026-03-03T14:05:00.25Z")
    output.print_json(change)
    printed = json.loads(capsys.readouterr().out)
    assert printed["toStage"] == "STAGE_PRODUCTION"
    assert printed["fromStage"] == "STAGE_UNSPECIFIED"
    assert printed["createTime"] == "2026-03-03T14:05:00.250Z"
    assert printed["causedBy"] == ""
    assert "endTime" not in printed


def test_json_of_a_list_is_an_array(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json([Run(name="a"), Run(name="b")])
    assert [run["name"] for run in json.loads(capsys.readouterr().out)] == ["a", "b"]
    output.print_json([])
    assert json.loads(capsys.readouterr().out) == []


def test_json_stays_valid_with_numbers_that_json_does_not_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_json(MetricSummary(key="loss", last=math.nan, max=math.inf, count=3))
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (printed["last"], printed["max"], printed["count"]) == ("NaN", "Infinity", "3")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("2026-03-03T14:05:00Z", "2026-03-03T14:05:00Z"),
        ("2026-03-03T14:05:00.123456Z", "2026-03-03T14:05:00.123456Z"),
        ("2026-03-03T15:05:00.5+01:00", "2026-03-03T14:05:00.500000Z"),
    ],
)
def test_times_are_utc_and_exact(text: str, printed: str) -> None:
    time = Timestamp()
    time.FromJsonString(text)
    assert output.format_time(time) == printed


def test_a_time_that_is_not_set_is_a_dash() -> None:
    assert output.format_time(None) == "-"
    assert output.format_time(Run().end_time) == "-"
    assert output.format_second(Run().end_time) == "-"


@pytest.mark.parametrize(
    ("size", "printed"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5_500_000, "5.2 MiB"), (2**50, "1.0 PiB")],
)
def test_sizes_are_in_binary_units(size: int, printed: str) -> None:
    assert output.format_bytes(size) == printed


def test_a_digest_is_shortened_but_keeps_its_algorithm() -> None:
    assert output.short_digest("sha256:" + "ab" * 32) == "sha256:abababababab"


def test_no_progress_bar_is_drawn_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress_bar("Fetching") as moved:
        moved(5, 10)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_narrow_terminals_get_whole_ids(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    ids = ("2026-03-03T14:05:00Z", "workspaces/main/models/wine-cultivar")
    output.print_table(("TIME", "MODEL", "REASON"), [(*ids, "because of this and because of that")])
    printed = capsys.readouterr().out
    for whole in ids:
        assert whole in printed
