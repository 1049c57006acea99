"""Train a small network with PyTorch, in several processes that log into one run.

    studbook login --as ada
    torchrun --nproc-per-node 2 examples/train_torch.py

The first process begins the run and ends it; the others attach to it. Takes `pip install torch`.
The data is made up: the sum of eight numbers is to be learnt.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import studbook

if TYPE_CHECKING:
    from studbook import Run

EPOCHS = 5
LEARNING_RATE, BATCH, HIDDEN = 0.05, 32, 16


def begin(rank: int) -> Run:
    """The run of this training: the first process begins it and hands it to the others."""
    if rank == 0:
        config = {"lr": LEARNING_RATE, "batch": BATCH, "hidden": HIDDEN}
        runs: list[Any] = [studbook.init("sums", config=config)]
    else:
        runs = [None]
    distributed.broadcast_object_list(runs)
    run: Run = runs[0]
    return run


def train(run: Run, rank: int) -> nn.Module:
    """Train; every process logs its own loss, and the first what concerns all."""
    inputs = torch.randn(1024, 8, generator=torch.Generator().manual_seed(7))
    data = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    sampler: DistributedSampler[tuple[torch.Tensor, ...]] = DistributedSampler(data)
    batches = DataLoader(data, batch_size=BATCH, sampler=sampler, num_workers=1)
    network = nn.Sequential(nn.Linear(8, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    model = DistributedDataParallel(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    step = 0
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for values, wanted in batches:
            loss = nn.functional.mse_loss(model(values), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({f"loss/rank{rank}": loss}, step=step)
            step += 1
        if rank == 0:
            run.log({"weights": studbook.Histogram(network[0].weight)}, step=step)
    return network


def main() -> None:
    """Train in this process, one of several."""
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    with begin(rank) as run:
        network = train(run, rank)
        if rank == 0:
            torch.save(network.state_dict(), "sums.pt")
            run.log_artifact("sums.pt", "model/sums.pt")
            sys.stdout.write(f"{run.name}\n")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
