"""Runs as the server tells of them."""

from __future__ import annotations

from studbook.tracking.v1 import metric_pb2, run_pb2

RUNS = "workspaces/main/experiments/wine/runs"


def make_run(run_id: str = "otter") -> run_pb2.Run:
    run = run_pb2.Run(
        name=f"{RUNS}/{run_id}",
        display_name=f"{run_id} display",
        state=run_pb2.RUN_STATE_FINISHED,
        params=[run_pb2.Param(key="C", value=run_pb2.ParamValue(double_value=0.5))],
        tags={"team": "cellar"},
        metrics=[
            metric_pb2.MetricSummary(
                key="val/loss", last=0.25, min=0.125, count=4, last_step=30, min_step=20
            )
        ],
        exit_code=0,
    )
    run.start_time.FromJsonString("2026-03-03T14:05:00.75Z")
    run.end_time.FromJsonString("2026-03-03T14:07:05.75Z")
    run.heartbeat_time.FromJsonString("2026-03-03T14:07:04Z")
    run.creator.id = "user:dev:ada"
    run.creator.display_name = "Ada"
    return run


def make_full_run(run_id: str = "otter") -> run_pb2.Run:
    """A run of which everything was recorded."""
    run = make_run(run_id)
    run.dataset_inputs.add(
        dataset="workspaces/main/datasets/wine/versions/0a1b",
        role="training",
        digest="sha256:" + "0a" * 32,
    )
    run.code.MergeFrom(
        run_pb2.Code(
            repository="git@github.com:plant/wine.git",
            commit="c0ffee" * 6 + "c0ff",
            branch="main",
            dirty=True,
            diff_digest="sha256:" + "1b" * 32,
            diff_artifact="studbook/code.patch",
            entry_point="train.py",
            untracked_files=["a.txt", "b.txt"],
            untracked_count=2,
        )
    )
    run.environment.MergeFrom(
        run_pb2.Environment(
            python_version="3.11.7",
            python_implementation="CPython",
            platform="Linux-6.1",
            machine="x86_64",
            cpu_count=8,
            cpu_model="AMD EPYC 7763",
            memory_bytes=16 << 30,
            packages={"numpy": "2.0", "scipy": "1.14"},
            hostname="gpu-3",
            command_line=["python", "train.py", "--name=a b"],
            accelerators=["NVIDIA A100", "NVIDIA A100"],
            container_image_digest="sha256:" + "2c" * 32,
        )
    )
    return run
