"""Values that are more than a number: images, tables and histograms, for `run.log`.

    run.log({
        "loss": 0.3,
        "sample": studbook.Image(array),
        "worst": studbook.Table(["file", "error"], rows),
        "weights": studbook.Histogram(tensor),
    }, step=step)

Pictures of PIL and figures of matplotlib need no wrapping. These classes only hold what they are
given until `log` writes it down; nothing is imported for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class Image:
    """An image.

    Attributes:
        data: A PIL image; an array of height x width, or height x width x 1, 3 or 4, of bytes, of
            truth values or of floating point numbers from 0 to 1; a tensor of PyTorch, also with
            its channels first; a matplotlib figure; the bytes of an image file, or its path. Of a
            file the bytes are kept as they are.
    """

    data: Any


@dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Attributes:
        columns: Names of the columns; or a pandas or Polars frame; or a sequence of mappings, one
            for each row, whose keys are the columns.
        rows: The rows, each a sequence with one cell for each column. Only with names of columns.
    """

    columns: Any
    rows: Sequence[Sequence[Any]] | None = None


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often values fall between edges.

    Attributes:
        values: The values, an array or sequence of any shape; None when they have been counted.
        counts: How many there are in each bin, if they have been counted.
        edges: Edges of the bins, one more than there are counts.
        bins: Into how many bins of equal width values are counted.
    """

    values: Any = None
    counts: Sequence[float] | None = None
    edges: Sequence[float] | None = None
    bins: int = 64


def is_media(value: Any) -> bool:
    """Whether `log` keeps a value as a file."""
    return isinstance(value, (Image, Table, Histogram)) or is_picture(value)


def is_picture(value: Any) -> bool:
    """Whether a value is an image of PIL or a figure of matplotlib."""
    return is_figure(value) or any(
        kind.__module__.startswith("PIL.") and kind.__name__ == "Image"
        for kind in type(value).__mro__
    )


def array_of(tensor: Any) -> Any:
    """A NumPy array of a tensor's numbers, on whatever device they are."""
    tensor = tensor.detach().cpu()
    # NumPy has no `bfloat16`.
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def is_figure(value: Any) -> bool:
    """Whether a value is a figure of matplotlib."""
    return hasattr(value, "savefig")
