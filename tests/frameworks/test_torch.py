"""PyTorch: tensors, workers that load data, and trainings of several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studbook.tracking.v1 import run_pb2
from tests.frameworks.conftest import EXPERIMENT, ROOT, finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.frameworks.conftest import Recorded

pytest.importorskip("torch", reason="`make frameworks` installs what it takes")

_TENSORS = """
import studbook, torch
with studbook.init("frameworks", run_id="tensors") as run:
    weight = torch.nn.Linear(4, 3).weight
    for step in range(3):
        run.log(
            {
                "loss": (weight * 0 + 0.5).mean(),
                "half": torch.tensor(0.25, dtype=torch.bfloat16),
                "count": torch.tensor([7]),
                "picture": studbook.Image(torch.rand(3, 8, 9)),
                "weights": studbook.Histogram(weight.bfloat16()),
            },
            step=torch.tensor(step),
        )
    assert weight.requires_grad and weight.grad is None
    run.log_confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]))
"""

_LOADING = """
import sys
import studbook
from torch.utils.data import DataLoader, Dataset

class Numbers(Dataset):
    def __init__(self, run):
        self.run = run

    def __len__(self):
        return 64

    def __getitem__(self, index):
        self.run.log({"loaded": index}, step=index)
        return float(index)

if __name__ == "__main__":
    method = sys.argv[1]
    with studbook.init("frameworks", run_id=f"loading-{method}") as run:
        for epoch in range(2):
            batches = DataLoader(
                Numbers(run), batch_size=4, num_workers=2, multiprocessing_context=method
            )
            for number, batch in enumerate(batches):
                run.log({"mean": batch.mean()}, step=16 * epoch + number)
"""


def test_tensors_are_numbers_and_pictures(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_TENSORS)
    finish(tmp_path, "-W", "error", "program.py")
    run = f"{EXPERIMENT}/runs/tensors"
    for key, value in {"loss": 0.5, "half": 0.25, "count": 7.0}.items():
        assert recorded.points(run, key) == [(0, value), (1, value), (2, value)]
    files = recorded.files(run)
    assert "confusion_matrix.json" in files
    for kind in ("picture/{}.png", "weights/{}.histogram.json"):
        assert {f"media/{kind.format(f'{step:012d}')}" for step in range(3)} <= set(files)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_that_load_data_log_into_the_run(
    recorded: Recorded, tmp_path: Path, method: str
) -> None:
    (tmp_path / "program.py").write_text(_LOADING)
    finish(tmp_path, "program.py", method)
    run = f"{EXPERIMENT}/runs/loading-{method}"
    loaded = [(step, float(step)) for step in range(64)]
    assert recorded.points(run, "loaded") == sorted([*loaded, *loaded])
    assert recorded.points(run, "mean") == [(step, 4 * (step % 16) + 1.5) for step in range(32)]
    assert recorded.run(run).state == run_pb2.RUN_STATE_FINISHED


def test_the_example_logs_from_all_processes_into_one_run(
    recorded: Recorded, tmp_path: Path
) -> None:
    program = ROOT / "examples" / "train_torch.py"
    printed = finish(
        tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", program
    )
    (run,) = recorded.runs("sums")
    assert run.name in printed
    assert run.state == run_pb2.RUN_STATE_FINISHED
    for rank in range(2):
        losses = recorded.points(run.name, f"loss/rank{rank}")
        assert [step for step, _ in losses] == list(range(80))
        assert losses[-1][1] < losses[0][1] / 10
    assert "model/sums.pt" in recorded.files(run.name)
