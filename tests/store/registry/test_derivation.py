"""What came of a dataset or a version is found whole, over any number of generations."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_service.records import DatasetUse, Stage
from registry_service.store.lineage_store import Origin, derived
from service_chassis.listing import PageRequest
from service_chassis.page_tokens import PageTokens
from studbook.registry.v1.lineage_service_pb2 import ListDerivedVersionsRequest
from tests.store.registry.seeding import MODEL, Stud, caller

if TYPE_CHECKING:
    from collections.abc import Callable

WORKSPACE = "workspaces/main"
SENSORS = f"{WORKSPACE}/datasets/sensors/versions/1"
OTHER = f"{WORKSPACE}/datasets/sensors-2/versions/1"
TOKENS = PageTokens(b"k" * 32)


def used(dataset: str = SENSORS, digit: str = "a", role: str = "training") -> DatasetUse:
    return DatasetUse(dataset, role, digit * 64)


def found(
    stud: Stud,
    *,
    workspace: str = WORKSPACE,
    visible: Callable[[str], bool] = lambda _: True,
    filter_text: str = "",
    **origin: str,
) -> list[str]:
    """Numbers of the versions that came of something, page by page."""
    numbers: list[str] = []
    request = ListDerivedVersionsRequest(parent=workspace, page_size=2, filter=filter_text)
    while True:
        page = PageRequest.read(request, default_order="create_time", tokens=TOKENS)

        def work(store: Any, page: PageRequest = page) -> Any:
            return store.versions.page_among(derived(Origin(**origin)), workspace, page, visible)

        versions, request.page_token = stud.read(work)
        numbers += [version.number for version in versions]
        if not request.page_token:
            return numbers


def test_dataset_leads_to_every_version_trained_on_it(stud: Stud) -> None:
    stud.create_model()
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        stud.register(number, datasets=(used(), used(role="validation")))
    stud.register("2.0.0", datasets=(used(OTHER, "b"),))
    assert found(stud, dataset=SENSORS) == ["1.0.0", "1.1.0", "1.2.0"]
    assert found(stud, dataset=OTHER) == ["2.0.0"]


def test_dataset_without_version_stands_for_all_of_them(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0", datasets=(used(),))
    stud.register("1.1.0", datasets=(used(SENSORS.replace("/1", "/2"), "b"),))
    stud.register("1.2.0", datasets=(used(OTHER, "c"),))
    assert found(stud, dataset=f"{WORKSPACE}/datasets/sensors") == ["1.0.0", "1.1.0"]


def test_digest_finds_the_same_bytes_under_any_name(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0", datasets=(used(),))
    stud.register("1.1.0", datasets=(used(OTHER),))
    stud.register("1.2.0", datasets=(used(SENSORS, "b"),))
    assert found(stud, digest="a" * 64) == ["1.0.0", "1.1.0"]


def test_what_learned_from_the_data_by_way_of_its_parents_is_found(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0", datasets=(used(),))
    stud.register("2.0.0", parents=(f"{MODEL}/versions/1.0.0",))
    stud.register("3.0.0", datasets=(used(OTHER, "b"),), parents=(f"{MODEL}/versions/2.0.0",))
    assert found(stud, dataset=SENSORS) == ["1.0.0", "2.0.0", "3.0.0"]
    assert found(stud, version=f"{MODEL}/versions/1.0.0") == ["2.0.0", "3.0.0"]
    assert found(stud, version=f"{MODEL}/versions/3.0.0") == []


def test_a_deleted_parent_does_not_hide_its_children(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0", datasets=(used(),))
    stud.register("2.0.0", parents=(f"{MODEL}/versions/1.0.0",))
    former = stud.version("1.0.0")
    stud.write(lambda store: store.versions.mark_deleted(former, 1))
    assert found(stud, dataset=SENSORS) == ["2.0.0"]


def test_only_what_the_caller_may_read_in_the_workspace_is_found(stud: Stud) -> None:
    secret = f"{WORKSPACE}/models/secret"
    elsewhere = "workspaces/other/models/wine"
    for model in (MODEL, secret, elsewhere):
        stud.create_model(model)
        stud.register("1.0.0", model=model, datasets=(used(),))
    stud.register("1.1.0", datasets=(used(),))
    may = caller(models_read=(f"{MODEL}/**",))
    visible = found(stud, dataset=SENSORS, visible=lambda name: may.may("models.read", name))
    assert visible == ["1.0.0", "1.1.0"]
    assert found(stud, workspace="workspaces/other", dataset=SENSORS) == ["1.0.0"]


def test_what_was_ever_in_production_can_be_asked_for_with_its_times(stud: Stud) -> None:
    stud.create_model()
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        stud.register(number, datasets=(used(),))
    stud.move("1.0.0", Stage.PRODUCTION)
    stud.move("1.1.0", Stage.PRODUCTION)
    stud.roll_back()
    kept = found(stud, dataset=SENSORS, filter_text="was_in_production = true")
    assert kept == ["1.0.0", "1.1.0"]

    uids = [stud.version(number).uid for number in ("1.0.0", "1.1.0", "1.2.0")]
    stays = stud.read(lambda store: store.stays.in_production(uids))
    first, second = stays[uids[0]], stays[uids[1]]
    assert [len(first), len(second), uids[2] in stays] == [2, 1, False]
    assert first[0].end_us == second[0].start_us
    assert second[0].end_us == first[1].start_us
    assert first[1].end_us is None


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_closure_is_that_of_a_plain_walk(stud: Stud, data: st.DataObject) -> None:
    model = f"{WORKSPACE}/models/{uuid.uuid4().hex}"
    stud.create_model(model)
    count = data.draw(st.integers(1, 8))
    edges: dict[str, set[str]] = {}
    on_data: set[str] = set()
    dataset = f"{WORKSPACE}/datasets/{uuid.uuid4().hex}/versions/1"
    for index in range(count):
        number = f"{index}.0.0"
        parents = sorted(data.draw(st.sets(st.sampled_from(sorted(edges))))) if edges else []
        if data.draw(st.booleans()):
            on_data.add(number)
        stud.register(
            number,
            model=model,
            datasets=(used(dataset),) if number in on_data else (),
            parents=tuple(f"{model}/versions/{parent}" for parent in parents),
        )
        edges[number] = set(parents)
    wanted = set(on_data)
    for number, begun_from in edges.items():  # in order of registration, so one pass is enough
        if wanted & begun_from:
            wanted.add(number)
    assert set(found(stud, dataset=dataset)) == wanted
