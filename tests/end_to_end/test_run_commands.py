"""`studbook run` as people use it: found, shown, compared, followed, fetched, over the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from studbook.tracking.v1 import artifact_pb2, run_pb2, run_service_pb2
from tests.end_to_end import story
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_stack.stack import LocalStack
    from tests.end_to_end.conftest import Everyone


class Shell:
    """Runs `studbook run` as Ada."""

    def __init__(self, stack: LocalStack, token: str) -> None:
        self._environment = {
            **os.environ,
            "STUDBOOK_ADDRESS": stack.addresses.gateway,
            "STUDBOOK_TOKEN": token,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "studbook.cli", "run", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, *arguments: str, code: int = 0) -> list[list[str]]:
        """The answer's lines, each cut at its tabs."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == code, err
        return [line.split("\t") for line in out.splitlines()]


@pytest.fixture
def shell(stack: LocalStack, tokens: dict[str, str]) -> Shell:
    return Shell(stack, tokens["ada"])


@pytest.fixture
def trained(everyone: Everyone, new_id: Callable[[str], str]) -> list[story.Trained]:
    """Two finished runs that differ in their seed."""
    experiment = story.create_experiment(everyone.ada, new_id("wine"))
    return [story.train(everyone.ada, experiment, seed) for seed in (1, 2)]


def short(run: str) -> str:
    parts = run.split("/")
    return f"{parts[3]}/{parts[5]}"


def test_find_and_show(shell: Shell, trained: list[story.Trained]) -> None:
    one, two = (short(run.run) for run in trained)
    experiment = one.partition("/")[0]

    columns = "run,params.seed,metrics.loss.min,metrics.loss.min_step,environment.python_version"
    found = shell.rows(
        "ls", experiment, "--order-by", "metrics.loss.min desc", "--columns", columns
    )
    assert found == [[one, "1", "0.1", "9", "3.11.7"], [two, "2", "0.0909091", "9", "3.11.7"]]
    searched = shell.rows("ls", experiment, "--filter", "metrics.loss.min < 0.095", "-q")
    assert searched == [[two]]
    shell.rows("ls", experiment, "--filter", "metrics.loss.min <", code=2)
    shell.rows("ls", experiment, "--columns", "colour", code=2)

    shown = shell.rows("show", one)
    for row in (["Run", one], ["State", "finished"], ["Commit", "a" * 40], ["seed", "1"]):
        assert row in shown
    assert ["Artifacts", "1 file, 732.4 KiB"] in shown
    # The beginning of an id is enough.
    assert ["Run", one] in shell.rows("show", one[:-4])
    shell.rows("show", f"{experiment}/none", code=3)


def test_compare(shell: Shell, everyone: Everyone, trained: list[story.Trained]) -> None:
    one, two = (short(run.run) for run in trained)
    everyone.ada.runs.LogBatch(
        run_service_pb2.LogBatchRequest(
            run=resumed(everyone, trained[1].run),
            code=run_pb2.Code(repository="git@github.com:plant/wine.git", commit="b" * 40),
        )
    )
    everyone.ada.runs.LogBatch(
        run_service_pb2.LogBatchRequest(
            run=resumed(everyone, trained[0].run),
            code=run_pb2.Code(repository="https://github.com/plant/wine", commit="a" * 40),
        )
    )

    rows = shell.rows("compare", one, two, "--baseline", two)

    assert rows[0] == ["", "run", one, two]
    assert ["param", "seed", "1", "2"] in rows
    assert ["delta", "loss", "+0.009091", "+0"] in rows
    assert ["code", "against the baseline", f"{'b' * 40}..{'a' * 40}", "same"] in rows
    assert not [row for row in rows if row[0] in {"dataset", "package", "environment"}]

    process = shell.start("compare", one, two, "--json")
    told: dict[str, Any] = json.loads(process.communicate(timeout=PATIENCE_S)[0])
    assert told["codeDifferences"][1]["compareUrl"] == (
        f"https://github.com/plant/wine/compare/{'a' * 40}..{'b' * 40}"
    )
    assert told["datasets"][0]["differs"] is False
    shell.rows("compare", one, one, code=2)


def resumed(everyone: Everyone, run: str) -> str:
    """The run, set to going on again, so that it takes records."""
    everyone.ada.runs.UpdateRun(
        run_service_pb2.UpdateRunRequest(run=run_pb2.Run(name=run, state=run_pb2.RUN_STATE_RUNNING))
    )
    return run


@pytest.mark.parametrize(
    ("state", "code"), [(run_pb2.RUN_STATE_FINISHED, 0), (run_pb2.RUN_STATE_FAILED, 1)]
)
def test_follow(
    shell: Shell,
    everyone: Everyone,
    new_id: Callable[[str], str],
    state: run_pb2.RunState.ValueType,
    code: int,
) -> None:
    experiment = story.create_experiment(everyone.ada, new_id("wine"))
    run = story.create_run(everyone.ada, experiment)
    story.append(everyone.ada, run, [1.0, 0.5, 0.25])

    with shell.start("tail", short(run), "--lines", "2") as tail:
        assert tail.stdout is not None
        lines = [tail.stdout.readline().rstrip().split("\t")[1:] for _ in range(3)]
        assert lines == [["state", "running"], ["1", "loss=0.5"], ["2", "loss=0.25"]]

        story.append(everyone.ada, run, [0.125], sequence=2)
        # The same step again, as somebody who resumed from a checkpoint would log it.
        assert tail.stdout.readline().rstrip().split("\t")[1:] == ["0", "loss=0.125"]

        everyone.ada.runs.UpdateRun(
            run_service_pb2.UpdateRunRequest(run=run_pb2.Run(name=run, state=state))
        )
        rest, err = tail.communicate(timeout=PATIENCE_S)

    assert rest.rstrip().split("\t")[1:] == ["state", "finished" if code == 0 else "failed"]
    assert (err, tail.returncode) == ("", code)


def test_list_and_fetch_files(
    shell: Shell, everyone: Everyone, trained: list[story.Trained], tmp_path: Path
) -> None:
    run = short(trained[0].run)
    notes: artifact_pb2.Artifact = story.store_file(
        everyone.ada, trained[0].run, "notes.txt", b"as a test"
    )

    listed = shell.rows("ls-artifacts", run)
    assert [row[0] for row in listed] == ["model/model.bin", "notes.txt"]
    assert listed[1] == ["notes.txt", "9", notes.media_type or "-", notes.digest]

    target = tmp_path / "target"
    assert shell.rows("download", run, "model", str(target)) == [[f"{target}/model/model.bin"]]
    assert (target / "model" / "model.bin").read_bytes() == trained[0].model_bytes
    assert len(shell.rows("download", run, str(target))) == 2
    assert (target / "notes.txt").read_bytes() == b"as a test"
    shell.rows("download", run, "none", str(target), code=3)
