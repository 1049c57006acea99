"""Runs one service in this process, for as long as the process that started it lives.

    python -m local_stack.service_process MODULE

The parent holds the other end of standard input and never writes to it. When the parent ends, in
whatever way, `kill -9` included, reading returns, and the service is told to stop.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_S = 10


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def main() -> None:
    """Watch the parent and run the module named by the first argument."""
    # Databases and artifacts are nobody else's business.
    os.umask(0o077)
    module = sys.argv[1]
    sys.argv = [module]
    threading.Thread(target=_end_with_parent, daemon=True, name="parent-watch").start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
