"""The commands that the documentation shows work, in the order in which it shows them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
EXPECTED_EXIT = re.compile(r"\s+# exit (\d+)$")


def commands(page: Path) -> list[str]:
    """The lines after a `$` in the page's console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def script(lines: list[str]) -> str:
    """A shell script that stops at the first line with another exit code than the page says."""
    steps = []
    for line in lines:
        expected = EXPECTED_EXIT.search(line)
        command = EXPECTED_EXIT.sub("", line)
        wanted = expected.group(1) if expected else "0"
        complaint = f'echo "exit code $code": {shlex.quote(command)} >&2; exit 1;'
        steps.append(f"{command}\ncode=$?\n[ $code = {wanted} ] || {{ {complaint} }}")
    return "\n".join(steps)


def python_blocks(page: Path) -> list[str]:
    """The page's Python blocks."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def stack_of_a_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A fresh Studbook: pages begin with an empty one."""
    with LocalStack(tmp_path_factory.mktemp("page"), Ports.from_base(0)) as running:
        yield running


@pytest.mark.parametrize(
    "page",
    [
        "docs/first-steps.md",
        "docs/logging-in.md",
        "docs/finding-runs.md",
        "docs/promotion-policies.md",
        "docs/approving-promotions.md",
        "docs/auditing.md",
        "docs/certificates.md",
        "docs/lineage.md",
        "docs/watching.md",
        "examples/README.md",
    ],
)
def test_commands_of_the_page(stack_of_a_page: LocalStack, tmp_path: Path, page: str) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    run_commands(stack_of_a_page, tmp_path, commands(ROOT / page))


@pytest.mark.parametrize(
    "name", ["logging-runs.md", "files.md", "datasets.md", "stages-and-names.md", "what-changed.md"]
)
def test_programs_and_commands_of_the_page(
    stack_of_a_page: LocalStack, tmp_path: Path, name: str
) -> None:
    page = ROOT / "docs" / name
    scripts = []
    for index, block in enumerate(python_blocks(page)):
        (tmp_path / f"block{index}.py").write_text(block)
        scripts.append(f"python -W error block{index}.py")
    assert scripts
    run_commands(stack_of_a_page, tmp_path, ["studbook login --as ada", *scripts, *commands(page)])


def run_commands(stack: LocalStack, folder: Path, lines: list[str]) -> None:
    """Run the lines in a shell, as Studbook's user on an empty account."""
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "STUDBOOK_CONFIG_DIR": str(folder / "config"),
        "STUDBOOK_ADDRESS": stack.addresses.gateway,
    }
    # The pages speak of `studbook up` with its default folder.
    text = script(lines).replace(
        "local_stack.ci_token", f"local_stack.ci_token --data {stack.folder.path}"
    )
    text = text.replace("~/.local/share/studbook", str(stack.folder.path))
    done = subprocess.run(
        ["/bin/bash", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
