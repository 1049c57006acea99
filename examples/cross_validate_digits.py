"""Cross-validate a classifier of handwritten digits: one run, one process for each fold.

    studbook login --as ada
    python examples/cross_validate_digits.py

The folds are trained side by side and log into the run of the process that started them. The data
ships with scikit-learn: 1797 pictures of eight by eight dots.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

import studbook

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from studbook import Run

FOLDS = 3
EPOCHS = 15
SETTINGS = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.005, "random_state": 7}


def train_fold(run: Run, fold: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Train on all folds but one, epoch by epoch; returns classes and guesses of that one."""
    digits = load_digits()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=7).split(digits.data, digits.target)
    training, held_out = list(folds)[fold]
    model = MLPClassifier(**SETTINGS)
    for epoch in range(EPOCHS):
        model.partial_fit(digits.data[training], digits.target[training], classes=range(10))
        accuracy = model.score(digits.data[held_out], digits.target[held_out])
        run.log({f"fold{fold}": {"loss": model.loss_, "accuracy": accuracy}}, step=epoch)
    return digits.target[held_out], model.predict(digits.data[held_out])


def main() -> None:
    """Train all folds, and record what all of them say together."""
    digits = load_digits()
    config = {**SETTINGS, "folds": FOLDS, "epochs": EPOCHS}
    with studbook.init("digits", name="cross-validation", config=config) as run:
        run.use_dataset(digits.data, name="digits", source="sklearn.datasets.load_digits")
        run.log({"sample": studbook.Image(digits.images[0] / 16)})
        # Started afresh rather than forked, as libraries with threads of their own want it.
        with ProcessPoolExecutor(FOLDS, mp_context=get_context("spawn")) as processes:
            found = list(processes.map(train_fold, [run] * FOLDS, range(FOLDS)))
        classes, guesses = (np.concatenate(part) for part in zip(*found, strict=True))
        run.log({"accuracy": float((classes == guesses).mean())})
        run.log_confusion_matrix(classes, guesses)
    sys.stdout.write(f"{run.name}\n")


if __name__ == "__main__":
    main()
