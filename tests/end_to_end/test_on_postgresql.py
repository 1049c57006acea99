"""The whole of it on PostgreSQL: the main job, and promotions that race."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.registry.v1 import model_service_pb2, version_pb2
from tests.end_to_end import story
from tests.end_to_end.conftest import Everyone, clients_of, tokens_of
from tests.end_to_end.test_main_job import test_main_job as play_main_job
from tests.postgresql import postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, str]]:
    """Two empty databases on a PostgreSQL server of this test's own."""
    with postgres_server() as server:
        yield {name: server.create_database(name) for name in ("tracking", "registry")}


@pytest.fixture(scope="module")
def people(
    databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Everyone]:
    """A client for each of the demo identities of a stack on PostgreSQL."""
    folder = tmp_path_factory.mktemp("postgresql")
    with LocalStack(folder, Ports.from_base(0), databases=databases, separate=True) as stack:
        clients = clients_of(stack, tokens_of(stack))
        yield clients
        clients.close()


def test_main_job(people: Everyone, new_id: Callable[[str], str]) -> None:
    play_main_job(people, new_id)


def test_racing_promotions_leave_one_in_production(
    people: Everyone, new_id: Callable[[str], str]
) -> None:
    run = story.train(people.ada, story.create_experiment(people.ada, new_id("race")), 1).run
    model = story.create_model(people.ada, new_id("race"))
    names = [story.register(people.ada, model, f"1.{n}.0", run).name for n in range(16)]
    with ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(story.promote, people.release, name) for name in names]:
            done.result()
    listed = people.ada.models.ListVersions(
        model_service_pb2.ListVersionsRequest(parent=model, page_size=100)
    )
    stages = [version.stage for version in listed.versions]
    assert stages.count(version_pb2.STAGE_PRODUCTION) == 1
    assert stages.count(version_pb2.STAGE_ARCHIVED) == 15
