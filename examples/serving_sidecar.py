"""Keep what is in Production in a folder, and swap it without a restart when it changes.

    export STUDBOOK_CLIENT_ID=serving STUDBOOK_CLIENT_SECRET_FILE=...
    python examples/serving_sidecar.py wine-cultivar FOLDER [--notify http://127.0.0.1:8080/reload]

Each version is fetched into a folder of its own, FOLDER/1.2.0, and verified. Then the link
FOLDER/current is made to point there, in one step: whoever opens FOLDER/current/... finds the old
version or the new one whole, never a mixture. At last the program beside it is told, by a POST to
the address of --notify if there is one; a line on standard output tells in any case. Runs until it
is stopped; an outage of Studbook changes nothing but that no news come.

The service account needs `models.serve` and nothing else. What was loaded here is reported to
Studbook by the fetching itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import httpx

import studbook
from studbook import model_registry
from studbook.exceptions import StudbookError, Unavailable

PAUSE_S = 5
# Versions that are kept, for requests that still read from the one before.
KEPT = 2


def point(link: Path, target: Path) -> None:
    """Make a link point to a folder, in one step."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    fresh.replace(link)


def notify(url: str, told: dict[str, str]) -> None:
    """Tell the program beside this one; that it does not answer is no reason to stop."""
    try:
        httpx.post(url, json=told, timeout=10, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        sys.stderr.write(f"{url} was not told: {error}\n")


def forget_old(folder: Path, current: Path) -> None:
    """Delete what is neither the present version nor one of the latest before it."""
    versions = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    versions = [path for path in versions if path != current and not path.name.startswith(".")]
    versions.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in versions[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def swap(folder: Path, version: str, url: str) -> None:
    """Fetch a version, make it the present one, and tell of it."""
    number = version.rpartition("/")[2]
    target = folder / number
    fetched = model_registry.fetch(version, target)
    point(folder / "current", target)
    target.touch()
    told = {"version": number, "digest": fetched.version.digest, "path": str(target)}
    if url:
        notify(url, told)
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    forget_old(folder, target)


def swap_when_possible(folder: Path, version: str, url: str) -> None:
    """Swap, trying again while Studbook is away."""
    while True:
        try:
            swap(folder, version, url)
        except Unavailable as error:
            sys.stderr.write(f"{error} Trying again in {PAUSE_S} s.\n")
            time.sleep(PAUSE_S)
        except StudbookError as error:
            # It may have left Production already; what is served stays until there is another.
            sys.stderr.write(f"{version} was not fetched: {error}\n")
            return
        else:
            return


def main() -> int:
    """Watch and swap until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--notify", default="", metavar="URL")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        for standing in studbook.watch(f"{given.model}@production"):
            if not standing.version:
                sys.stderr.write(f"Nothing of {given.model} is in Production.\n")
                continue
            swap_when_possible(given.folder.absolute(), standing.version, given.notify)
    except StudbookError as error:
        sys.stderr.write(f"{error} [{error.reason}]\n{error.next_step}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
