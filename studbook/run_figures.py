"""Pictures: figures of matplotlib, and the confusion matrix as data and drawing."""

from __future__ import annotations

import io
import json
import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from studbook.logged_values import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_log = logging.getLogger("studbook")

# More than these are hardly classes; the matrix has the square of them.
_MOST_CLASSES = 2000
# With more classes than these a drawing has colours only, and not every class is named.
_MOST_NUMBERED = 30
_LONGEST_LABEL = 40
_LONGEST_SIDE = 20.0


def rendered(figure: Any, path: str) -> bytes:
    """A matplotlib figure in the format that the ending of `path` names; PNG without one.

    Raises:
        TypeError: When it is not a figure.
    """
    if not hasattr(figure, "savefig"):
        message = f"{type(figure).__qualname__} is not a matplotlib figure."
        raise TypeError(message)
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    target = io.BytesIO()
    figure.savefig(target, format=ending.lower() if dot else "png")
    return target.getvalue()


def confusion_matrix_files(
    y_true: Iterable[Any], y_pred: Iterable[Any], labels: Iterable[Any] | None, name: str
) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of the matrix as JSON, and of its drawing where matplotlib is installed.

    Raises:
        ValueError: When there are not as many predictions as classes, when `labels` misses one, or
            when there are more than 2000 classes.
    """
    labels_used, counts = confusion_counts(y_true, y_pred, labels)
    content = {"labels": labels_used, "rows": "actual", "columns": "predicted", "counts": counts}
    yield f"{name}.json", json.dumps(content).encode()
    if not labels_used:
        return
    try:
        drawing = _drawing(labels_used, counts)
    except ImportError:
        return  # no matplotlib
    except Exception as error:  # noqa: BLE001 - a drawing must not end a training
        _log.warning("Studbook: %s is kept without a drawing: %s", name, error)
        return
    yield f"{name}.png", drawing


def confusion_counts(
    y_true: Iterable[Any], y_pred: Iterable[Any], labels: Iterable[Any] | None
) -> tuple[list[str], list[list[int]]]:
    """The labels as text, and for each actual class how often each was predicted."""
    actual, predicted = _plain(y_true), _plain(y_pred)
    if len(actual) != len(predicted):
        message = f"There are {len(actual)} classes, yet {len(predicted)} predictions."
        raise ValueError(message)
    try:
        occurring = {*actual, *predicted}
    except TypeError as error:
        message = f"Give one class for each, a name or a whole number: {error}."
        raise ValueError(message) from error
    classes = _plain(labels) if labels is not None else _ordered(occurring)
    missing = occurring - set(classes)
    if missing:
        message = f"labels does not have {', '.join(map(repr, _ordered(missing)[:5]))}."
        raise ValueError(message)
    if len(classes) > _MOST_CLASSES:
        message = (
            f"{len(classes)} classes; a confusion matrix has at most {_MOST_CLASSES}. Classes are "
            "names or whole numbers, not probabilities."
        )
        raise ValueError(message)
    pairs = Counter(zip(actual, predicted, strict=True))
    counts = [[pairs[row, column] for column in classes] for row in classes]
    return [text_of(label) for label in classes], counts


def _plain(values: Iterable[Any]) -> list[Any]:
    """Python's own values; NumPy's differ from them as keys of JSON and in their names."""
    plain: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    return [value.item() if hasattr(value, "item") else value for value in plain]


def _ordered(values: set[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _drawing(labels: list[str], counts: list[list[int]]) -> bytes:
    # The object interface: pyplot would touch the windows of whoever uses it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    ticks = range(0, len(labels), math.ceil(len(labels) / _MOST_NUMBERED))
    names = [text_of(labels[tick], _LONGEST_LABEL).replace("$", r"\$") for tick in ticks]
    side = min(max(3.5, 0.55 * len(labels) + 2 + 0.1 * max(map(len, names))), _LONGEST_SIDE)
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    axes.set_xticks(ticks, names, rotation=45, ha="right")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    if len(labels) <= _MOST_NUMBERED:
        _number(axes, counts)
    return rendered(figure, "drawing.png")


def _number(axes: Any, counts: list[list[int]]) -> None:
    half = max(map(max, counts), default=0) / 2
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            colour = "white" if count > half else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
