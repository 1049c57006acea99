"""Libraries that are missing or too old are named, with what to install."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.unit.sdk.table_digest import digest


@pytest.mark.parametrize(
    ("library", "data", "remedy"),
    [
        ("pyarrow", pl.DataFrame({"a": [1]}), "pip install pyarrow"),
        ("pyarrow", {"a": pl.Series([1])}, "pip install pyarrow"),
        ("pyarrow", pd.DataFrame({"a": pd.array([1], "int64[pyarrow]")}), "pip install pyarrow"),
        ("numpy", {"a": [1]}, "pip install 'studbook[profile]'"),
        ("numpy", pa.table({"a": [1]}), "pip install 'studbook[profile]'"),
    ],
)
def test_without_a_library_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, library: str, data: object, remedy: str
) -> None:
    # So that importing it fails, here and in whatever is imported for the first time.
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ModuleNotFoundError, match=re.escape(remedy)):
        digest(data)


@pytest.mark.parametrize("library", ["numpy", "datasketches"])
@pytest.mark.parametrize(
    "program", ["from studbook.dataset_profile import merge", "studbook.InputProfile"]
)
def test_without_a_library_profiles_name_the_remedy(library: str, program: str) -> None:
    without = f"import sys; sys.modules[{library!r}] = None; import studbook; {program}"

    ended = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False
    )

    assert f"take {library}: `pip install 'studbook[profile]'`." in ended.stderr


@pytest.mark.parametrize(
    ("library", "data", "said"),
    [
        ("pyarrow", pa.table({"a": [1]}), "pyarrow 18.0 or newer, not 15.0.2"),
        ("pyarrow", {"a": pa.array([1])}, "pyarrow 18.0 or newer, not 15.0.2"),
        ("pyarrow", pl.DataFrame({"a": [1]}), "pyarrow 18.0 or newer, not 15.0.2"),
        ("polars", pl.DataFrame({"a": [1]}), "polars 1.10 or newer, not 1.9.0"),
        ("polars", {"a": pl.Series([1])}, "polars 1.10 or newer, not 1.9.0"),
    ],
)
def test_a_library_that_is_too_old_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, library: str, data: object, said: str
) -> None:
    monkeypatch.setattr(sys.modules[library], "__version__", said.rpartition(" ")[2])

    with pytest.raises(ImportError, match=re.escape(f"{said}: `pip install --upgrade {library}`")):
        digest(data)
