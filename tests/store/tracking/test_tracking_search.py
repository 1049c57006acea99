"""ListRuns finds the same runs, in the same order, on every database."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from service_chassis.errors import StudbookError
from studbook.tracking.v1 import run_pb2
from studbook.tracking.v1 import run_service_pb2 as pb
from tests.store.tracking.at_work import WINE, WORKSPACE, caller

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking


A_METRICS: dict[str, Any] = {"loss": [(1, 0.5), (2, 0.05)], "val/loss": [(1, 0.4)]}


@pytest.fixture
def runs(tracking: Tracking) -> Tracking:
    """Four runs: a and b ended, with parameters and metrics; c logged NaN; d logged nothing."""
    for name in "abcd":
        tracking.run(name, display_name=f"Run {name.upper()}", by=caller(f"user-{name}"))
    tracking.log(
        f"{WINE}/runs/a",
        params={"lr": 0.1, "model": "forest", "opt.kind": "adam", "fast": True, "depth": 3},
        tags={"team": "red", "Ünïcode key": "x"},
        code={"commit": "a" * 40},
    )
    tracking.log(
        f"{WINE}/runs/b",
        params={"lr": 1, "model": "Linear", "depth": "deep", "n": math.nan},
        tags={"team": "blue"},
    )
    tracking.append(f"{WINE}/runs/a", **A_METRICS)
    tracking.append(f"{WINE}/runs/b", loss=[(1, 0.04), (2, 0.8)], inf=[(1, math.inf)])
    tracking.append(f"{WINE}/runs/c", loss=[(1, math.nan)])
    tracking.update(f"{WINE}/runs/a", state=run_pb2.RUN_STATE_FINISHED)
    tracking.update(f"{WINE}/runs/b", state=run_pb2.RUN_STATE_FAILED)
    return tracking


@pytest.mark.parametrize(
    ("filter_text", "found"),
    [
        ("metrics.loss.min < 0.1", "ab"),
        ("metrics.loss < 0.1", "a"),
        ("metrics.loss.last > 0.1", "b"),
        ("metrics.loss.max >= 0.5", "ab"),
        ("metrics.loss.mean < 0.3", "a"),
        ("metrics.loss.first = 0.5", "a"),
        ("metrics.loss.count > 0", "abc"),
        ("metrics.loss.count = 2", "ab"),
        # NaN is never the smallest, so it has no step.
        ("metrics.loss.min_step >= 0", "ab"),
        ("NOT metrics.loss.min < 0.1", "cd"),
        ("metrics.loss.min != 0.04", "a"),
        ('metrics."val/loss".min < 0.5', "a"),
        ("metrics.inf = inf", "b"),
        ("metrics.none.min < 1", ""),
        ("params.lr < 0.5", "a"),
        ("params.lr = 1", "b"),
        ("params.lr >= 0.1", "ab"),
        ("params.lr = 1 OR params.lr = (0.1 OR 7)", "ab"),
        ("params.n > 0", ""),
        ('params.model = "forest"', "a"),
        ("params.model = F*", ""),
        ("params.opt.kind = adam", "a"),
        ("params.fast = true", "a"),
        ("params.depth = 3", "a"),
        ("params.depth = deep", "b"),
        ("params.depth > 2", "a"),
        ('tags.team = "red" OR tags.team = "blue"', "ab"),
        ('tags.team != "red"', "b"),
        ('tags."Ünïcode key" = x', "a"),
        ("tags.team:*", "ab"),
        ("state = FINISHED", "a"),
        ("state = RUN_STATE_FAILED", "b"),
        ("state != RUNNING", "ab"),
        ('display_name = "Run C"', "c"),
        ("display_name:C", "c"),
        ('creator = "user:dev:user-d"', "d"),
        (f'code.commit = "{"a" * 40}"', "a"),
        ("code.commit:aaaa", "a"),
        (f'name = "{WINE}/runs/b"', "b"),
        ('create_time > "2020-01-01T00:00:00Z"', "abcd"),
        ("end_time:*", ""),
        ("metrics.loss.min < 0.1 AND (params.lr > 0.5 OR tags.team = red)", "ab"),
        ("metrics.loss.min < 0.1 state = FAILED", "b"),
    ],
)
def test_filters(runs: Tracking, filter_text: str, found: str) -> None:
    assert "".join(runs.list_runs(filter=filter_text, order_by="name")) == found
    wildcard = f"{WORKSPACE}/experiments/-"
    assert "".join(runs.list_runs(wildcard, filter=filter_text, order_by="name")) == found


@pytest.mark.parametrize(
    ("order_by", "found"),
    [
        ("", "dcba"),
        ("create_time", "abcd"),
        ("name desc", "dcba"),
        # NaN and absence are both "no value", and come last either way.
        ("metrics.loss.min, name", "bacd"),
        ("metrics.loss.min desc, name", "abcd"),
        ("metrics.loss.last desc, name desc", "badc"),
        ("metrics.loss.count desc, name", "abcd"),
        ("params.lr desc, name", "bacd"),
        # Numbers before texts; upper case before lower, as bytes have it.
        ("params.depth, name", "abcd"),
        ("params.model, name", "bacd"),
        ("tags.team, name", "bacd"),
        ("state, name", "cdab"),
    ],
)
@pytest.mark.parametrize("page_size", [1, 3, 0])
def test_orders(runs: Tracking, order_by: str, found: str, page_size: int) -> None:
    listed = runs.list_runs(order_by=order_by, page_size=page_size)

    assert "".join(listed) == found


def test_equal_numbers_tie_and_large_ones_are_told_apart(tracking: Tracking) -> None:
    values = {"a": 1, "b": 1.0, "c": 1, "d": 2**53 + 1, "e": 2**53, "f": 2.0**53, "g": 2.0**63}
    values |= {"h": 2**63 - 1, "i": -(2**53) - 1, "j": -(2.0**53), "k": -(2**63), "l": -(2.0**63)}
    for name, value in values.items():
        tracking.run(name)
        tracking.log(f"{WINE}/runs/{name}", params={"seed": value})

    def listed(**arguments: Any) -> str:
        return "".join(tracking.list_runs(**arguments))

    assert listed(order_by="params.seed, name", page_size=1) == "klijabcefdhg"
    assert listed(order_by="params.seed desc, name", page_size=1) == "ghdefabcjikl"
    assert listed(order_by="name", filter=f"params.seed = {2**53 + 1}") == "d"
    assert listed(order_by="name", filter=f"params.seed != {2**53 + 1}") == "abcefghijkl"
    assert listed(order_by="name", filter=f"params.seed < {2**53 + 1}") == "abcefijkl"
    assert listed(order_by="name", filter=f"params.seed >= {2**53 + 1}") == "dgh"
    assert listed(order_by="name", filter=f"params.seed <= {-(2**53) - 1}") == "ikl"
    assert listed(order_by="name", filter=f"params.seed > {2**63 - 1}") == "g"
    assert listed(order_by="name", filter=f"params.seed <= {2**63 - 1}") == "abcdefhijkl"


def refusal(tracking: Tracking, **arguments: Any) -> StudbookError:
    with pytest.raises(StudbookError) as refused:
        tracking.call("ListRuns", pb.ListRunsRequest(**{"parent": WINE, **arguments}))
    return refused.value


def test_bad_arguments(tracking: Tracking) -> None:
    assert refusal(tracking, filter="nonsense = 1").reason == "FILTER_INVALID"
    assert refusal(tracking, filter="metrics.loss < low").reason == "FILTER_INVALID"
    assert refusal(tracking, filter="params =").reason == "FILTER_INVALID"
    assert refusal(tracking, filter="state = ASLEEP").reason == "FILTER_INVALID"
    assert refusal(tracking, order_by="nonsense").reason == "ORDER_BY_INVALID"
    assert refusal(tracking, page_size=-1).reason == "FIELD_INVALID"
    assert refusal(tracking, page_token="x").reason == "PAGE_TOKEN_INVALID"
    assert refusal(tracking, parent="x").reason == "RESOURCE_NAME_INVALID"
    assert refusal(tracking, parent=f"{WORKSPACE}/experiments/no").reason == "NOT_FOUND"


def test_as_many_fields_as_there_may_be_are_sorted_by_on_every_page(runs: Tracking) -> None:
    fields = ["params.depth", "params.lr desc", *(f"params.p{number}" for number in range(6))]

    for kind in ("params", "metrics"):
        order_by = ",".join(fields).replace("params", kind)
        pages = runs.list_runs(order_by=order_by, page_size=1)
        assert sorted(pages) == ["a", "b", "c", "d"]
        assert runs.list_runs(order_by=order_by) == pages


@pytest.mark.parametrize("character", ["?", "x", "😀"])
def test_the_longest_patterns_are_held_against_texts(runs: Tracking, character: str) -> None:
    part = character * 4096

    assert runs.list_runs(filter=f'display_name = "{part}*{part}"') == []
    refused = refusal(runs, filter=f'display_name = "{part}*{part}x"')
    assert refused.reason == "FILTER_INVALID"
    assert "at most 8192 characters" in str(refused)


def test_a_token_is_good_for_its_own_arguments_only(runs: Tracking) -> None:
    page = runs.call("ListRuns", pb.ListRunsRequest(parent=WINE, page_size=2))

    other = {"page_token": page.next_page_token, "filter": "state = RUNNING"}
    assert refusal(runs, **other).reason == "PAGE_TOKEN_INVALID"


def test_runs_that_come_meanwhile_disturb_no_page(runs: Tracking) -> None:
    request = pb.ListRunsRequest(parent=WINE, page_size=2, order_by="create_time desc")
    first = runs.call("ListRuns", request)
    runs.run("e")
    runs.delete(f"{WINE}/runs/d")
    request.page_token = first.next_page_token
    second = runs.call("ListRuns", request)

    ids = [run.name[-1] for page in (first, second) for run in page.runs]
    assert ids == ["d", "c", "b", "a"]


def test_the_caller_sees_what_it_may_read(runs: Tracking) -> None:
    other = runs.experiment(f"{WORKSPACE}/experiments/beer").name
    runs.run("z", other)
    everywhere = f"{WORKSPACE}/experiments/-"

    assert runs.list_runs(everywhere, order_by="name") == ["z", "a", "b", "c", "d"]
    only_beer = caller(pattern=f"{other}/**")
    assert runs.list_runs(everywhere, only_beer, order_by="name") == ["z"]
    one_run = caller(pattern=f"{WINE}/runs/b")
    assert runs.list_runs(everywhere, one_run, page_size=1) == ["b"]
    with pytest.raises(StudbookError) as refused:
        runs.list_runs(WINE, only_beer)
    assert refused.value.reason == "PERMISSION_MISSING"


def test_runs_with_very_many_metrics_stand_on_shorter_pages(tracking: Tracking) -> None:
    metrics = {f"metric-{number:05}": [(1, float(number))] for number in range(8000)}
    for name in "abc":
        tracking.append(tracking.run(name).name, "w", 1, **metrics)
    tracking.run("d")

    request = pb.ListRunsRequest(parent=WINE, order_by="name", page_size=1000)
    pages = [tracking.call("ListRuns", request)]
    while pages[-1].next_page_token:
        request.page_token = pages[-1].next_page_token
        pages.append(tracking.call("ListRuns", request))

    assert [[run.name[-1] for run in page.runs] for page in pages] == [
        ["a", "b"],
        ["c", "d"],
    ]
    assert max(page.ByteSize() for page in pages) < 4 * 1024 * 1024
    assert {len(run.metrics) for page in pages for run in page.runs} == {8000, 0}


def test_lists_show_what_was_logged_but_not_long_lists(runs: Tracking) -> None:
    name = f"{WINE}/runs/d"
    conda = {"name": "training", "packages": {"numpy": "2.0=py311_0"}}
    runs.log(
        name,
        environment={"python_version": "3.11", "packages": {"numpy": "2"}, "conda": conda},
        code={"untracked_files": ["a"], "untracked_count": 1},
    )

    page = runs.call("ListRuns", pb.ListRunsRequest(parent=WINE, order_by="name"))

    one, *_, last = page.runs
    assert one == runs.get(f"{WINE}/runs/a")
    assert last.environment.python_version == "3.11"
    assert not last.environment.packages
    assert last.environment.conda.name == "training"
    assert not last.environment.conda.packages
    assert (last.code.untracked_count, list(last.code.untracked_files)) == (1, [])


@pytest.mark.parametrize(
    ("paths", "params", "tags", "metrics", "fields"),
    [
        (["state"], [], [], [], {"state"}),
        (["params.lr"], ["lr"], [], [], {"params"}),
        (['params."opt.kind"', "params.lr"], ["lr", "opt.kind"], [], [], {"params"}),
        (["params.lr", "params"], ["depth", "fast", "lr", "model", "opt.kind"], [], [], {"params"}),
        (['metrics."val/loss"', "metrics.absent"], [], [], ["val/loss"], {"metrics"}),
        (['tags."Ünïcode key"', "code"], [], ["Ünïcode key"], [], {"tags", "code"}),
        (["creator", "etag", "create_time"], [], [], [], {"creator", "etag", "create_time"}),
        (["metrics"], [], [], ["loss", "val/loss"], {"metrics"}),
    ],
)
def test_a_mask_says_what_is_read(
    runs: Tracking,
    paths: list[str],
    params: list[str],
    tags: list[str],
    metrics: list[str],
    fields: set[str],
) -> None:
    request = pb.ListRunsRequest(parent=WINE, filter='display_name = "Run A"')
    request.read_mask.paths.extend(paths)

    (run,) = runs.call("ListRuns", request).runs

    assert [param.key for param in run.params] == params
    assert list(run.tags) == tags
    assert [metric.key for metric in run.metrics] == metrics
    assert {field.name for field, _ in run.ListFields()} == fields | {"name"}
    whole = runs.get(f"{WINE}/runs/a")
    assert all(param in whole.params for param in run.params)
    assert all(metric in whole.metrics for metric in run.metrics)


@pytest.mark.parametrize(
    "path",
    [
        *("", "colour", "code.commit", "params.a.b", "params.", 'tags."x', "state desc", "*"),
        *("päth", 'params."\0"'),
    ],
)
def test_a_mask_that_names_no_part_of_a_run_is_refused(tracking: Tracking, path: str) -> None:
    request = pb.ListRunsRequest(parent=WINE)
    request.read_mask.paths.append(path)

    with pytest.raises(StudbookError) as refused:
        tracking.call("ListRuns", request)
    assert refused.value.reason == "FIELD_INVALID"
    assert refused.value.fields[0].field == "read_mask"


def test_a_page_of_very_large_runs_is_cut_so_that_it_can_be_received(tracking: Tracking) -> None:
    for name in "abcdef":
        tracking.run(name)
        params = {f"p{index}": "x" * 8000 for index in range(100)}
        tracking.log(f"{WINE}/runs/{name}", params=params)

    page = tracking.call("ListRuns", pb.ListRunsRequest(parent=WINE))

    assert 1 <= len(page.runs) < 6
    assert page.ByteSize() <= 4 * 1024 * 1024
    assert tracking.list_runs() == ["f", "e", "d", "c", "b", "a"]
