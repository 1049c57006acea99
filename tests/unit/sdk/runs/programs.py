"""Programs that log, in processes of their own."""

from __future__ import annotations

import subprocess
import sys

RUN = "workspaces/main/experiments/wine/runs/one"


def run_to_its_end(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
