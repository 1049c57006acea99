"""Notebooks: a run lives from cell to cell, survives errors in them, and ends with the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from studbook.tracking.v1 import run_pb2
from tests.frameworks.conftest import EXPERIMENT

if TYPE_CHECKING:
    from tests.frameworks.conftest import Recorded

nbclient = pytest.importorskip("nbclient", reason="`make frameworks` installs what it takes")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


def execute(*cells: str) -> str:
    """Run a notebook of these cells; all that they printed, errors included."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, allow_errors=True, timeout=120).execute()
    outputs: list[dict[str, Any]] = [output for cell in notebook.cells for output in cell.outputs]
    return "".join(output.get("text", "") + output.get("ename", "") for output in outputs)


# The kernel's own remark on its connection; it concerns nobody outside of this machine.
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_run_lives_from_cell_to_cell(recorded: Recorded) -> None:
    printed = execute(
        "import studbook\nrun = studbook.init('frameworks', run_id='notebook', console=True)",
        "for step in range(100): run.log({'x': step}, step=step)",
        "1 / 0",
        "studbook.log({'y': 1})\nprint('still here')",
        "other = studbook.init('frameworks', run_id='notebook-2')\nother.log({'z': 1})",
    )
    assert "ZeroDivisionError" in printed
    assert "notebook is finished, because another run begins." in printed
    first = f"{EXPERIMENT}/runs/notebook"
    assert [step for step, _ in recorded.points(first, "x")] == list(range(100))
    assert recorded.points(first, "y") == [(100, 1.0)]
    assert "studbook/console.log" in recorded.files(first)
    assert recorded.points(f"{first}-2", "z") == [(0, 1.0)]
    for name in (first, f"{first}-2"):
        run = recorded.run(name)
        assert run.state == run_pb2.RUN_STATE_FINISHED
        assert run.code.entry_point == "notebook"
