"""A changed file comes into force; a faulty one does not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY, generate_latest

from gateway.access_checks import AccessFileError
from gateway.access_watch import AccessRulesFile

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.access_rules import AccessRules

GOOD = """
version: 1
issuers: {corp: {url: "https://a.example", kind: people, audience: x}}
"""
OTHER = GOOD + "bindings: [{role: viewer, members: [user:corp:ada], resources: ['**']}]\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "access.yaml"
    file.write_text(GOOD)
    return file


def reload(file: AccessRulesFile) -> None:
    asyncio.run(file.reload_if_changed())


def ignore(_rules: AccessRules) -> None:
    """Accept everything."""


def test_change_comes_into_force(path: Path) -> None:
    accepted: list[AccessRules] = []
    file = AccessRulesFile(path, accepted.append)
    before = file.current
    reload(file)
    assert file.current is before
    path.write_text(OTHER)
    reload(file)
    assert file.current.holdings("user:corp:ada", (), 0).grants
    assert accepted == [before, file.current]


@pytest.mark.parametrize("fault", ["version: 3", "[", "", "\udcff"])
def test_faulty_file_changes_nothing(path: Path, fault: str) -> None:
    file = AccessRulesFile(path, ignore)
    before = file.current
    path.write_bytes(fault.encode(errors="surrogateescape"))
    reload(file)
    assert file.current is before
    path.write_text(OTHER)
    reload(file)
    assert file.current is not before


def figures() -> tuple[float | None, str]:
    """Whether the file is faulty, and the revision in force, as Prometheus is told."""
    lines = generate_latest().decode().splitlines()
    (revision,) = (line for line in lines if line.startswith("studbook_access_rules_info{"))
    return REGISTRY.get_sample_value("studbook_access_file_faulty"), revision.split('"')[1]


def test_figures_say_whether_the_file_is_in_force(path: Path) -> None:
    file = AccessRulesFile(path, ignore)
    first = file.current.revision
    assert figures() == (0, first)
    began = time.time()
    path.write_text("version: 3")
    reload(file)
    assert figures() == (1, first)
    path.write_text(OTHER)
    reload(file)
    assert file.current.revision != first
    assert figures() == (0, file.current.revision)
    read = REGISTRY.get_sample_value("studbook_access_rules_read_time_seconds")
    assert read
    assert began <= read <= time.time()


def test_defect_does_not_end_the_watching(path: Path) -> None:
    async def run() -> None:
        tried, changed = asyncio.Event(), asyncio.Event()

        def accept(rules: AccessRules) -> None:
            if not rules.file.bindings:
                return
            if not tried.is_set():
                tried.set()
                raise KeyError
            changed.set()

        file = AccessRulesFile(path, accept)
        watching = asyncio.create_task(file.watch(poll_s=0.01))
        async with asyncio.timeout(20):
            await asyncio.to_thread(path.write_text, OTHER)
            await tried.wait()
            await asyncio.to_thread(path.write_text, OTHER + "\n")
            await changed.wait()
        watching.cancel()

    asyncio.run(run())


def test_missing_file_changes_nothing(path: Path) -> None:
    file = AccessRulesFile(path, ignore)
    before = file.current
    path.unlink()
    reload(file)
    assert file.current is before


def test_swapped_link_is_noticed(tmp_path: Path, path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(OTHER)
    link, new = tmp_path / "link", tmp_path / "new"
    link.symlink_to(path)
    file = AccessRulesFile(link, ignore)
    new.symlink_to(other)
    new.replace(link)
    reload(file)
    assert file.current.holdings("user:corp:ada", (), 0).grants


def test_rules_can_be_refused_before_they_come_into_force(path: Path) -> None:
    def refuse_bindings(rules: AccessRules) -> None:
        if rules.file.bindings:
            message = "no bindings here"
            raise AccessFileError(message)

    file = AccessRulesFile(path, refuse_bindings)
    before = file.current
    path.write_text(OTHER)
    reload(file)
    assert file.current is before
    with pytest.raises(AccessFileError, match="no bindings"):
        AccessRulesFile(path, refuse_bindings)


def test_watching(path: Path) -> None:
    async def run() -> None:
        changed = asyncio.Event()
        file = AccessRulesFile(path, lambda _: changed.set())
        changed.clear()
        watching = asyncio.create_task(file.watch(poll_s=0.01))
        await asyncio.to_thread(path.write_text, OTHER)
        async with asyncio.timeout(20):
            await changed.wait()
        watching.cancel()

    asyncio.run(run())
