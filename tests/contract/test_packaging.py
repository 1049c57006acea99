"""What is installed is all that is needed."""

from __future__ import annotations

import tomllib
from pathlib import Path

from studbook.demo import stack_process

ROOT = Path(__file__).resolve().parents[2]


def test_the_programs_of_the_demo_are_installed_with_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    home = Path(stack_process.__file__).parent.relative_to(ROOT) / "examples"

    assert wheel["force-include"] == {"examples": home.as_posix()}
    assert stack_process.examples_folder() == ROOT / "examples"
