"""PyTorch Lightning: the logger, and programs that log by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studbook.tracking.v1 import run_pb2
from tests.frameworks.conftest import EXPERIMENT, finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.frameworks.conftest import Recorded

pytest.importorskip("lightning", reason="`make frameworks` installs what it takes")

_PROGRAM = """
import sys
import lightning
import torch
import studbook
from studbook.lightning_logger import LightningLogger

class Sums(lightning.LightningModule):
    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def loss(self, batch):
        (values,) = batch
        return torch.nn.functional.mse_loss(self.layer(values), values.sum(1, keepdim=True))

    def training_step(self, batch, number):
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def test_step(self, batch, number):
        self.log("test/loss", self.loss(batch), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

class EveryProcess(lightning.Callback):
    def __init__(self, run):
        self.run = run

    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        rank = trainer.global_rank
        self.run.log({f"direct/rank{rank}": outputs["loss"]}, step=trainer.global_step)

if __name__ == "__main__":
    run_id, strategy, devices = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if strategy == "ddp":  # here each process runs the whole program; Lightning tells the first
        logger = LightningLogger("frameworks", run_id=run_id, checkpoints=True)
        callbacks = []
    else:
        run = studbook.init("frameworks", run_id=run_id)
        logger = LightningLogger("frameworks", run=run, checkpoints=True)
        callbacks = [EveryProcess(run)]
    data = torch.utils.data.TensorDataset(torch.randn(64, 4))
    batches = torch.utils.data.DataLoader(data, batch_size=8)
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", devices=devices, strategy=strategy, logger=logger,
        callbacks=callbacks, log_every_n_steps=1, enable_progress_bar=False,
    )
    model = Sums()
    trainer.fit(model, batches)
    trainer.test(model, batches, verbose=False)
"""


@pytest.mark.parametrize(
    ("strategy", "processes"), [("auto", 1), ("ddp", 2), ("ddp_spawn", 2), ("ddp_fork", 2)]
)
def test_a_trainer_logs_into_one_run(
    recorded: Recorded, tmp_path: Path, strategy: str, processes: int
) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)
    run_id = f"lightning-{strategy.replace('_', '-')}"
    finish(tmp_path, "program.py", run_id, strategy, str(processes))
    name = f"{EXPERIMENT}/runs/{run_id}"
    run = recorded.run(name)
    steps = 3 * 8 // processes
    assert run.state == run_pb2.RUN_STATE_FINISHED
    assert [(param.key, param.value.int_value) for param in run.params] == [("width", 4)]
    assert [step for step, _ in recorded.points(name, "train/loss")] == list(range(steps))
    assert len(recorded.points(name, "test/loss")) == 1
    if strategy != "ddp":
        for rank in range(processes):
            points = recorded.points(name, f"direct/rank{rank}")
            assert [step for step, _ in points] == list(range(1, steps + 1))
    assert [path for path in recorded.files(name) if path.startswith("checkpoints/")] == [
        f"checkpoints/epoch=2-step={steps}.ckpt"
    ]


def test_a_training_that_fails_is_a_run_that_failed(recorded: Recorded, tmp_path: Path) -> None:
    failing = _PROGRAM.replace(
        "        loss = self.loss(batch)\n", "        raise RuntimeError('out of numbers')\n"
    )
    (tmp_path / "program.py").write_text(failing)
    with pytest.raises(AssertionError, match="out of numbers"):
        finish(tmp_path, "program.py", "lightning-fails", "auto", "1")
    run = recorded.run(f"{EXPERIMENT}/runs/lightning-fails")
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert run.state_reason == "RuntimeError: out of numbers"
