"""Train three classifiers on the wine data set, and write down how each came to be.

    studbook login --as ada
    python examples/train_wine.py [CANDIDATE ...]

Prints one run for each candidate. The data ships with scikit-learn: 178 bottles, thirteen
measurements each, three cultivars.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import studbook

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from studbook import Run

FOLDS = 5
SEED = 7


@dataclass(frozen=True)
class Candidate:
    """One set of settings to try."""

    name: str
    algorithm: str
    settings: dict[str, Any]


CANDIDATES = (
    Candidate("neighbours", "k-nearest neighbours", {"n_neighbors": 1, "scaled": False}),
    Candidate("linear", "linear, by gradient descent", {"alpha": 0.05, "epochs": 20}),
    Candidate("forest", "random forest", {"n_estimators": 80, "max_depth": 6}),
)


def train(candidate: Candidate) -> str:
    """Train one candidate as one run; returns the run's resource name."""
    wine = load_wine()
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        wine.data, wine.target, test_size=0.25, stratify=wine.target, random_state=SEED
    )
    config = {"algorithm": candidate.algorithm, "seed": SEED, **candidate.settings}
    with studbook.init("wine", name=candidate.name, config=config) as run:
        for role, rows, labels in (
            ("training", train_rows, train_labels),
            ("test", test_rows, test_labels),
        ):
            run.use_dataset(
                as_table(wine.feature_names, rows, labels),
                name=f"wine-{role}",
                role=role,
                source="sklearn.datasets.load_wine",
            )
        log_folds(run, candidate, train_rows, train_labels)
        model = fit(run, candidate, train_rows, train_labels)
        guess = model.predict(test_rows)
        run.log({"test/accuracy": float(accuracy_score(test_labels, guess))})
        names = [str(name) for name in wine.target_names]
        run.log_confusion_matrix([names[k] for k in test_labels], [names[k] for k in guess], names)
        run.log_model(model)
    return run.name


def as_table(
    columns: list[str], rows: NDArray[Any], labels: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """The data as named columns, the form in which its digest and schema are taken."""
    table = {name: rows[:, index] for index, name in enumerate(columns)}
    return {**table, "cultivar": labels}


def log_folds(run: Run, candidate: Candidate, rows: NDArray[Any], labels: NDArray[Any]) -> None:
    """Cross-validate: one point of the metric for each fold."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for fold, score in enumerate(cross_val_score(build(candidate), rows, labels, cv=folds)):
        run.log({"fold/accuracy": float(score)}, step=fold)


def build(candidate: Candidate) -> Any:
    """The untrained model of a candidate."""
    settings = candidate.settings
    match candidate.name:
        case "neighbours":
            return KNeighborsClassifier(n_neighbors=settings["n_neighbors"])
        case "linear":
            descent = SGDClassifier(
                loss="log_loss",
                alpha=settings["alpha"],
                max_iter=settings["epochs"],
                tol=None,
                random_state=SEED,
            )
            return make_pipeline(StandardScaler(), descent)
        case _:
            return RandomForestClassifier(**settings, random_state=SEED)


def fit(run: Run, candidate: Candidate, rows: NDArray[Any], labels: NDArray[Any]) -> Any:
    """Fit on all training rows, epoch by epoch where the algorithm has epochs."""
    model = build(candidate)
    if "epochs" not in candidate.settings:
        return model.fit(rows, labels)
    scaler, descent = model.named_steps.values()
    scaled = scaler.fit_transform(rows)
    for epoch in range(candidate.settings["epochs"]):
        descent.partial_fit(scaled, labels, classes=sorted(set(labels)))
        loss = log_loss(labels, descent.predict_proba(scaled))
        run.log({"epoch/loss": float(loss)}, step=epoch)
    return model


def main(names: list[str]) -> None:
    """Train the candidates that were named, or all."""
    unknown = set(names) - {candidate.name for candidate in CANDIDATES}
    if unknown:
        sys.exit(f"No such candidate: {', '.join(sorted(unknown))}")
    for candidate in CANDIDATES:
        if not names or candidate.name in names:
            sys.stdout.write(f"{candidate.name}: {train(candidate)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
