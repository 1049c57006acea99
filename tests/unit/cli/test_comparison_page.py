"""What `model compare` and `model check-inputs` print, and what files of inputs they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from studbook.cli import comparison_page
from studbook.cli.input_files import read_inputs
from studbook.exceptions import InvalidArgument, NotFound
from studbook.input_profile import profile_inputs
from studbook.registry.v1 import comparison_pb2 as pb
from studbook.registry.v1.comparison_service_pb2 import (
    CompareInputsResponse,
    CompareVersionsResponse,
)

if TYPE_CHECKING:
    from pathlib import Path

DRIFT = pb.DatasetDrift(
    role="training",
    first="workspaces/main/datasets/wine/versions/1",
    second="workspaces/main/datasets/wine/versions/2",
    first_rows=100,
    second_rows=100,
    drift=pb.DRIFT_DRIFTED,
    compared_columns=13,
    columns=[
        pb.ColumnDrift(
            name="alcohol",
            outcome=pb.COLUMN_OUTCOME_DRIFTED,
            measures=[
                pb.DriftMeasure(
                    kind=pb.DRIFT_MEASURE_KIND_QUANTILE_DISTANCE,
                    value=0.1976,
                    limit=0.1,
                    drifted=True,
                ),
                pb.DriftMeasure(
                    kind=pb.DRIFT_MEASURE_KIND_VALUE_SHARE,
                    value=0.04,
                    limit=0.01,
                    drifted=True,
                    about="-999",
                    first_share=0,
                    second_share=0.04,
                ),
                pb.DriftMeasure(kind=pb.DRIFT_MEASURE_KIND_PSI, value=0.02, limit=0.1),
            ],
            first=pb.ColumnFigures(type="double", mean=13, standard_deviation=0.8),
            second=pb.ColumnFigures(type="double", mean=13.4, standard_deviation=0.8),
        ),
        pb.ColumnDrift(
            name="label",
            outcome=pb.COLUMN_OUTCOME_REMOVED,
            first=pb.ColumnFigures(type="string", distinct_estimate=3),
        ),
        pb.ColumnDrift(
            name="year",
            outcome=pb.COLUMN_OUTCOME_DRIFTED,
            reason="its type was int64 and is string",
            first=pb.ColumnFigures(type="int64"),
            second=pb.ColumnFigures(type="string"),
        ),
    ],
)
VERSIONS = CompareVersionsResponse(
    verdict=pb.VERSION_VERDICT_SEVERAL_CHANGED,
    changed=[pb.ASPECT_DATA, pb.ASPECT_CODE],
    summary="Data and code changed.",
    missing=["The environment was not recorded."],
    aspects=[
        pb.AspectComparison(aspect=pb.ASPECT_DATA, outcome=pb.SAMENESS_CHANGED, datasets=[DRIFT]),
        pb.AspectComparison(
            aspect=pb.ASPECT_CODE,
            outcome=pb.SAMENESS_CHANGED,
            items=[pb.ComparedItem(name="commit", first="a" * 40, second="b" * 40)],
            compare_url="https://github.com/wine/models/compare/a..b",
        ),
        pb.AspectComparison(aspect=pb.ASPECT_ENVIRONMENT, outcome=pb.SAMENESS_UNKNOWN),
        pb.AspectComparison(
            aspect=pb.ASPECT_METRICS,
            outcome=pb.SAMENESS_CHANGED,
            items=[
                pb.ComparedItem(name="accuracy", first="0.9", second="0.87", delta=-0.03),
                pb.ComparedItem(name="loss", second="0.5"),
            ],
        ),
    ],
)
INPUTS = CompareInputsResponse(
    verdict=pb.INPUT_VERDICT_INPUT_DRIFTED, summary="The inputs are others.", drift=DRIFT
)


def people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def test_versions_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    people(monkeypatch)
    comparison_page.print_versions(VERSIONS, "wine@production", "wine@previous")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Verdict SEVERAL_CHANGED"
    assert "Data changed; training: 3 of 13 columns drifted, came or went" in lines
    assert "Environment unknown" in lines
    assert "Not known The environment was not recorded." in lines
    assert (
        "alcohol drifted 13 ± 0.8 13.4 ± 0.8 quantile distance 0.198 (> 0.1), "
        'share of "-999" 0.0% → 4.0% (> 1.0%)'
    ) in lines
    assert "label only in the first 3 different -" in lines
    assert "year drifted int64 string its type was int64 and is string" in lines
    assert "See https://github.com/wine/models/compare/a..b" in lines
    assert "accuracy 0.9 0.87 -0.03" in lines
    assert "loss - 0.5 -" in lines


def test_versions_for_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    comparison_page.print_versions(VERSIONS, "wine@1.0.0", "wine@1.1.0")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Verdict\tSEVERAL_CHANGED"
    assert f"commit\t{'a' * 40}\t{'b' * 40}" in lines
    assert "accuracy\t0.9\t0.87\t-0.03" in lines


def test_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    comparison_page.print_inputs(INPUTS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Verdict\tINPUT_DRIFTED"
    assert any(line.startswith("alcohol\tdrifted\t13 ± 0.8\t") for line in lines)


def test_files_of_inputs(tmp_path: Path) -> None:
    table = pa.table({"alcohol": np.arange(100.0), "colour": ["red", "white"] * 50})
    pyarrow.csv.write_csv(table, tmp_path / "asked.csv")
    pyarrow.parquet.write_table(table, tmp_path / "asked.parquet")
    (tmp_path / "asked.bin").write_bytes(profile_inputs(table).to_bytes())
    for name in ("asked.csv", "asked.parquet", "asked.bin"):
        message = read_inputs(tmp_path / name).message()
        assert message.row_count == 100
        assert [column.name for column in message.columns] == ["alcohol", "colour"]
        assert message.columns[0].profile.numbers.max == 99


@pytest.mark.parametrize("name", ["broken.csv", "broken.parquet", "broken.bin"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="no file"):
        read_inputs(tmp_path / name)
    (tmp_path / name).write_bytes(b'a,b\n1\n2,3,4\n"\xff\xfe')
    with pytest.raises(InvalidArgument, match=name):
        read_inputs(tmp_path / name)
