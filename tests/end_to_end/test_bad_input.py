"""Bad input gets its status code, its reason and the name of the field, and leaves no trace."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from studbook.exceptions import StudbookError
from studbook.registry.v1 import version_pb2
from studbook.tracking.v1 import run_pb2, run_service_pb2
from tests.end_to_end import story
from tests.end_to_end.bad_input_cases import CASES, EXPERIMENT, MODEL, RUN

if TYPE_CHECKING:
    from local_stack.stack import LocalStack
    from tests.end_to_end.conftest import Everyone


@pytest.fixture(scope="session")
def prepared(everyone: Everyone) -> Everyone:
    """An experiment, a run with a file, a model and a version to do wrong things to."""
    story.create_experiment(everyone.ada, "bad-input")
    story.create_run(everyone.ada, EXPERIMENT, "r1")
    everyone.ada.runs.LogBatch(
        run_service_pb2.LogBatchRequest(
            run=RUN, params=[run_pb2.Param(key="seed", value=run_pb2.ParamValue(int_value=1))]
        )
    )
    story.store_file(everyone.ada, RUN, "model/model.bin", b"the model")
    everyone.ada.artifacts.Upload(story.upload_messages(RUN, b"bytes"))
    story.create_model(everyone.ada, "bad-input")
    version = story.register(everyone.ada, MODEL, "1.0.0", RUN)
    assert version.state == version_pb2.VERSION_STATE_READY
    return everyone


def contents(stack: LocalStack) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in both databases, but for ledger entries that record refusals."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name in ("tracking", "registry"):
        path = stack.folder.path / f"{name}.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                rows = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - our names
                found[f"{name}.{table}"] = sorted(rows.fetchall(), key=repr)
    return found


@pytest.mark.parametrize("title", CASES)
def test_bad_input(prepared: Everyone, stack: LocalStack, title: str) -> None:
    case = CASES[title]
    before = contents(stack)
    with pytest.raises(StudbookError) as refused:
        case.call(prepared)
    error = refused.value
    cause = error.__cause__
    assert isinstance(cause, grpc.RpcError)
    assert isinstance(cause, grpc.Call)
    assert (cause.code().name, error.reason) == (case.code, case.reason)
    if case.field:
        assert [violation.field for violation in error.field_violations] == [case.field]
        assert case.field in str(error)
    assert contents(stack) == before
