"""A program that moves a run's files, and dies as by `kill -9` when so many bytes have moved.

`python -m tests.end_to_end.transfer_process upload|download RUN FOLDER BYTES`, with the gateway's
address and a token in the environment; with 0 bytes it lives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from studbook import artifact_transfer
from studbook.client import Client
from tests.end_to_end.conftest import FixedToken

ADDRESS, TOKEN = "TRANSFER_ADDRESS", "TRANSFER_TOKEN"


def main() -> None:
    """Move the files."""
    direction, run, folder, bytes_to_live = sys.argv[1:]
    last = int(bytes_to_live)

    def die(done_bytes: int, total_bytes: int) -> None:
        if last and done_bytes >= min(last, total_bytes):
            os.kill(os.getpid(), signal.SIGKILL)

    token = FixedToken(os.environ[TOKEN])
    with Client(os.environ[ADDRESS], workspace="main", token_source=token) as client:
        if direction == "upload":
            artifact_transfer.upload(client, run, Path(folder), "data", progress=die)
        else:
            artifact_transfer.download(client, run, Path(folder), progress=die)


if __name__ == "__main__":
    main()
