"""What the one process of a local installation does without."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_with_sqlite_does_not_load_the_other_database() -> None:
    # Each is megabytes of the process at rest.
    code = (
        "import sys, local_stack.together; "
        "print([m for m in ('psycopg', 'pandas', 'pyarrow', 'pytest') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stdout == "[]\n"
