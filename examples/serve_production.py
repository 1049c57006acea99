"""Fetch what is in Production, check it, load it and predict.

    export STUDBOOK_CLIENT_ID=serving STUDBOOK_CLIENT_SECRET_FILE=...
    python examples/serve_production.py wine-cultivar FOLDER

The service account needs `models.serve` and nothing else. The files come over gRPC; `fetch` keeps
them only when every digest is the one that was registered.
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_wine

from studbook import model_registry
from studbook.exceptions import StudbookError


def main(arguments: list[str]) -> int:
    """Fetch, load, predict."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    model, folder = arguments[0], Path(arguments[1])
    try:
        fetched = model_registry.fetch(f"{model}@production", folder)
    except StudbookError as error:
        sys.stderr.write(f"{error} [{error.reason}]\n{error.next_step}\n")
        return error.exit_code
    # A pickle runs code when it is loaded, so it is loaded only now that its digest is known.
    (file,) = [path for path in fetched.files if path.suffix == ".joblib"]
    estimator = joblib.load(file)
    wine = load_wine()
    right = sum(estimator.predict(wine.data) == wine.target)
    first = wine.target_names[estimator.predict(wine.data[:1])[0]]
    sys.stdout.write(
        f"{model} {fetched.version.version}, {fetched.version.digest}\n"
        f"The first bottle is of {first}; {right} of {len(wine.target)} bottles are told rightly.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
