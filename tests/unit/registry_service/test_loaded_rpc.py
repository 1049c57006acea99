"""Reports of what was loaded, beside the stage that says what should be."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from studbook.registry.v1.loaded_pb2 import LoadedMatch
from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    Registry,
    caller,
    digest_of,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = f"{MODEL}/versions/1.0.0", f"{MODEL}/versions/1.1.0"
OPS = caller("ops", {"models.serve": ("**",)})
OTHER_OPS = caller("other-ops", {"models.serve": ("**",)})


async def prepare(registry: Registry) -> str:
    """Two versions, the first in Production; returns the digest of both."""
    registry.add_run({"model/a.bin": b"a"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    version = await registry.register("1.0.0")
    await registry.register("1.1.0")
    await registry.move("1.0.0", "PRODUCTION")
    return str(version.digest)


async def report(registry: Registry, version: str, digest: str, **fields: Any) -> Any:
    fields = {"instance": "pod-1", "by": OPS, **fields}
    return await registry.call(
        "ServingService.ReportLoaded", version=version, digest=digest, **fields
    )


async def matches(registry: Registry, **fields: Any) -> dict[str, str]:
    answer = await registry.call("ServingService.ListLoaded", parent=MODEL, **fields)
    return {
        loaded.instance: LoadedMatch.Name(loaded.match).removeprefix("LOADED_MATCH_")
        for loaded in answer.loaded
    }


def test_what_instances_loaded_stands_beside_what_is_in_production(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        answer = await report(registry, ONE, digest)
        assert answer.production_version == ONE
        assert answer.loaded.reporter.id == OPS.principal.id
        assert answer.loaded.load_time == answer.loaded.report_time
        await report(registry, ONE, digest_of(b"altered"), instance="pod-2")
        assert await matches(registry) == {"pod-1": "PRODUCTION", "pod-2": "OTHER_BYTES"}
        await registry.move("1.1.0", "PRODUCTION")
        assert await matches(registry) == {"pod-1": "OTHER_VERSION", "pod-2": "OTHER_BYTES"}
        # What has left Production meanwhile was loaded all the same.
        late = await report(registry, ONE, digest, instance="pod-3")
        assert late.production_version == TWO
        await report(registry, TWO, digest)
        assert await matches(registry, filter="match = PRODUCTION") == {"pod-1": "PRODUCTION"}
        assert list(await matches(registry, order_by="instance")) == ["pod-1", "pod-2", "pod-3"]
        assert set(await matches(registry, filter=f'digest = "{digest}"')) == {"pod-1", "pod-3"}
        ledger = await registry.ledger()
        assert not [entry for entry in ledger if "load" in entry.action]

    with_registry(tmp_path, test)


def test_of_each_instance_of_a_caller_the_last_report_is_kept(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        for _ in range(3):
            await report(registry, ONE, digest)
        await report(registry, ONE, digest, by=OTHER_OPS)
        answer = await registry.call("ServingService.ListLoaded", parent=MODEL)
        reporters = sorted(loaded.reporter.id for loaded in answer.loaded)
        assert reporters == sorted([OPS.principal.id, OTHER_OPS.principal.id])

    with_registry(tmp_path, test)


def test_reports_are_kept_in_limited_number_of_each_caller(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        await report(registry, ONE, digest, by=OTHER_OPS, instance="quiet")
        for number in range(5):
            await report(registry, ONE, digest, instance=f"pod-{number}")
        assert set(await matches(registry)) == {"quiet", "pod-2", "pod-3", "pod-4"}
        pages = []
        token = ""
        while True:
            page = await registry.call(
                "ServingService.ListLoaded", parent=MODEL, page_size=3, page_token=token
            )
            pages.append([loaded.instance for loaded in page.loaded])
            token = page.next_page_token
            if not token:
                break
        assert pages == [["pod-4", "pod-3", "pod-2"], ["quiet"]]

    with_registry(tmp_path, test, loaded_instances=3)


def test_prometheus_is_told_what_is_loaded_and_what_was_called(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        address = f"127.0.0.1:{chosen.getsockname()[1]}"

    def scrape() -> dict[str, float]:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def gauge(match: str) -> str:
        return f'studbook_loaded_instances{{match="{match}",model="{MODEL}"}}'

    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        assert gauge("production") not in await asyncio.to_thread(scrape)
        await report(registry, ONE, digest)
        await report(registry, ONE, digest_of(b"altered"), instance="pod-2")
        method = "/studbook.registry.v1.ServingService/ReportLoaded"
        calls = f'studbook_calls_total{{code="OK",method="{method}"}}'
        found = await asyncio.to_thread(scrape)
        before = found[calls]
        assert (found[gauge("production")], found[gauge("other_bytes")]) == (1, 1)
        assert found[f'studbook_call_seconds_count{{method="{method}"}}'] >= before
        await registry.move("1.1.0", "PRODUCTION")
        await report(registry, TWO, digest, instance="pod-3")
        found = await asyncio.to_thread(scrape)
        assert found[gauge("other_version")] == 1
        assert found[calls] == before + 1

    with_registry(tmp_path, test, metrics_listen=address)
    with pytest.raises(urllib.error.URLError):
        scrape()


def test_old_reports_are_not_shown(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        await report(registry, ONE, digest)
        assert await matches(registry) == {}

    with_registry(tmp_path, test, loaded_days=1e-12)


def test_the_time_of_loading_is_the_instances_own_and_not_in_the_future(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        then = Timestamp(seconds=1_700_000_000)
        assert (await report(registry, ONE, digest, load_time=then)).loaded.load_time == then
        future = Timestamp(seconds=10_000_000_000)
        answer = await report(registry, ONE, digest, load_time=future)
        assert answer.loaded.load_time == answer.loaded.report_time

    with_registry(tmp_path, test)


def test_a_report_tells_nothing_about_what_the_caller_may_not_see(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        _, unseen, _ = await refusal(report(registry, TWO, digest))
        _, absent, _ = await refusal(report(registry, f"{MODEL}/versions/9.9.9", digest))
        assert unseen == absent == "PERMISSION_MISSING"
        reader = caller("ada", {"models.serve": ("**",), "models.read": ("**",)})
        assert (await report(registry, TWO, digest, by=reader)).production_version == ONE
        listed = registry.call("ServingService.ListLoaded", parent=MODEL, by=OPS)
        assert (await refusal(listed))[1] == "PERMISSION_MISSING"

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instance", ""),
        ("instance", "i" * 129),
        ("instance", "two\nlines"),
        ("digest", ""),
        ("digest", "sha256:abc"),
        ("version", f"{MODEL}/versions/latest"),
    ],
)
def test_a_malformed_report_is_refused(tmp_path: Path, field: str, value: str) -> None:
    async def test(registry: Registry) -> None:
        digest = await prepare(registry)
        given = {"version": ONE, "digest": digest, "instance": "pod-1", field: value}
        code, _, metadata = await refusal(
            registry.call("ServingService.ReportLoaded", by=OPS, **given)
        )
        assert (code, metadata["field"]) == ("INVALID_ARGUMENT", field)

    with_registry(tmp_path, test)
