"""What a run records by itself arrives, reflects the beginning, and holds no secret."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import studbook
from studbook.exceptions import InvalidArgument
from studbook.sync import sync_pending
from tests.unit.sdk.git_repositories import git, make_repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored

RUN = "workspaces/main/experiments/wine/runs/one"
PATCH = (RUN, "studbook/code.patch")
PROGRAM = "import studbook\nrun = studbook.init('wine', run_id='one')\n"


@pytest.fixture(autouse=True)
def as_users_have_it(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With system metrics, which other tests do without."""
    monkeypatch.delenv("STUDBOOK_SYSTEM_METRICS", raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


def train(
    repository: Path, more: str = "", arguments: tuple[str, ...] = (), **environment: str
) -> str:
    """Change the program and run it to its end; what it said on stderr."""
    (repository / "train.py").write_text(PROGRAM + more)
    done = subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_short_run_has_everything(online: Path, stored: Stored, repository: Path) -> None:
    assert train(repository, "run.log({'loss': 1.0})\n") == ""
    run = stored.runs[RUN]
    assert run.environment.packages["grpcio"]
    assert run.environment.cpu_count
    assert run.code.commit == git(repository, "rev-parse", "HEAD")
    assert (run.code.dirty, run.code.entry_point) == (True, "train.py")
    artifact = stored.artifacts[PATCH]
    assert run.code.diff_artifact == "studbook/code.patch"
    assert run.code.diff_digest == artifact.digest
    patch = (stored.blobs / artifact.digest.partition(":")[2]).read_bytes()
    assert artifact.digest == f"sha256:{hashlib.sha256(patch).hexdigest()}"
    assert b"+import studbook" in patch
    assert list(online.iterdir()) == []
    for name in ("system/cpu.percent", "system/memory.percent", "system/process.memory_bytes"):
        steps = [step for step, _, _ in stored.points[RUN, name]]
        assert steps in ([0, 1], [1])  # how busy it was shows at the second sample
    # What the program itself logs is counted on its own.
    assert [step for step, _, _ in stored.points[RUN, "loss"]] == [0]


def test_what_counts_is_how_it_was_at_the_beginning(
    online: Path, stored: Stored, repository: Path
) -> None:
    train(repository, "open('train.py', 'w').write('changed while it ran')\nopen('out', 'w')\n")
    patch = (stored.blobs / stored.artifacts[PATCH].digest.partition(":")[2]).read_text()
    assert "+import studbook" in patch
    assert not stored.runs[RUN].code.untracked_files


def test_the_patch_can_be_turned_off(online: Path, stored: Stored, repository: Path) -> None:
    train(repository, STUDBOOK_CODE_PATCH="off")
    code = stored.runs[RUN].code
    assert code.dirty
    assert code.diff_digest.startswith("sha256:")
    assert code.diff_artifact == ""
    assert PATCH not in stored.artifacts


@pytest.mark.parametrize("by_argument", [False, True])
def test_system_metrics_can_be_turned_off(
    online: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch, *, by_argument: bool
) -> None:
    monkeypatch.setenv("STUDBOOK_SYSTEM_METRICS", "on" if by_argument else "off")
    with studbook.init("wine", run_id="one", system_metrics=False if by_argument else None) as run:
        run.log({"loss": 1.0})
    assert stored.points.keys() == {(RUN, "loss")}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYSTEM_METRICS", "maybe"),
        ("SYSTEM_METRICS_INTERVAL", "0"),
        ("SYSTEM_METRICS_INTERVAL", "nan"),
        ("CODE_PATCH", "x"),
        ("CONSOLE", "loud"),
        ("CONSOLE_BYTES", "1"),
        ("CONSOLE_INTERVAL", "soon"),
    ],
)
def test_malformed_settings_are_told_of(
    offline: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"STUDBOOK_{name}", value)
    with pytest.raises(InvalidArgument, match=f"STUDBOOK_{name} is .{value}"):
        studbook.init("wine")


def test_a_forked_process_records_nothing_of_its_own(
    online: Path, stored: Stored, repository: Path
) -> None:
    train(
        repository,
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    run.log({'worker': 1.0}); run.finish(); os._exit(0)\n"
        "os.wait()\n",
    )
    assert (RUN, "worker") in stored.points
    assert len(stored.points[RUN, "system/memory.percent"]) == 2
    assert stored.calls.count("CreateArtifacts") == 1


def test_git_that_hangs_costs_the_start_a_moment_only(
    online: Path, stored: Stored, repository: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    said = train(
        repository,
        "import studbook.code_state\nprint('begun')\n",
        PATH=f"{slow.parent}:{os.environ['PATH']}",
    )
    assert "in time" in said
    assert stored.runs[RUN].environment.packages
    assert stored.runs[RUN].code.entry_point == "train.py"


LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
PLANTED = st.text(LETTERS, min_size=24, max_size=40).map(lambda text: f"Zq{text}")


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=PLANTED)
def test_no_planted_secret_is_recorded(
    offline: Path, stored: Stored, tmp_path_factory: pytest.TempPathFactory, secret: str
) -> None:
    folder = tmp_path_factory.mktemp("planted")
    repository = make_repository(folder / "repository")
    for name, address in {
        "origin": f"https://ada:{secret}@example.com/a.git?token={secret}",
        "other": f"ssh://ada:{secret}@example.com/a.git",
    }.items():
        git(repository, "remote", "add", name, address)
    (repository / ".env").write_text(f"API_KEY={secret}\n")
    (repository / "settings.py").write_text(f"KEY = 'ghp_{secret}'\nDB = 'db://a:{secret}@h/x'\n")
    git(repository, "add", "--force", ".")
    (repository / f"hf_{secret}").write_text("untracked")
    meta = folder / "conda" / "conda-meta"
    meta.mkdir(parents=True)
    channel = {"channel": f"https://ada:{secret}@conda.example.com/t/{secret}/main"}
    (meta / "numpy-2.0-0.json").write_text(json.dumps(channel))
    environment = {
        "AWS_SECRET_ACCESS_KEY": secret,
        "DATABASE_URL": f"postgresql://ada:{secret}@db/x",
        "WANDB_API_KEY": secret,
        "CONDA_PREFIX": str(folder / "conda"),
        "STUDBOOK_CONSOLE": "on",
        "STUDBOOK_TOKEN": secret,
    }
    line = (
        "--password", secret, f"--token={secret}", f"db.api_key={secret}",
        "-H", f"Authorization: Bearer {secret}", f"--url=https://ada:{secret}@h/x",
        f"glpat-{secret}", f'{{"secret": "{secret}"}}',
    )  # fmt: skip
    printing = (
        "import os, sys\n"
        "for text in sys.argv[3:]: print(text)\n"
        "print('key', 'sk-' + os.environ['WANDB_API_KEY'])\n"
        "print('password=' + os.environ['WANDB_API_KEY'], os.environ['DATABASE_URL'])\n"
        "run.finish('failed', reason='login with ' + os.environ['DATABASE_URL'] + ' failed')\n"
    )
    train(repository, printing, line, **environment)

    files = [path for path in offline.rglob("*") if path.is_file()]
    assert files
    recorded = b"".join(str(path).encode() + path.read_bytes() for path in files)
    assert secret.encode() not in recorded
    assert [entry.problem for entry in sync_pending()] == [None]
    run = stored.runs[RUN]
    assert run.code.repository == "https://example.com/a.git?token=***"
    assert run.environment.conda.packages == {"numpy": "2.0=0"}
    assert (RUN, "studbook/console.log") in stored.artifacts
    kept = repr(stored).encode() + b"".join(path.read_bytes() for path in stored.blobs.iterdir())
    assert secret.encode() not in kept
