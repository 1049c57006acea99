"""Being told of changes, as ops services and programs beside them are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import studbook
from tests.end_to_end import story
from tests.patience import PATIENCE_S, insist, wait_until
from tests.unit.registry_service.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_stack.stack import LocalStack
    from studbook.exceptions import StudbookError
    from tests.end_to_end.conftest import Everyone

ROOT = Path(__file__).resolve().parents[2]
CLI = (sys.executable, "-m", "studbook.cli")


@contextmanager
def program(
    stack: LocalStack, token: str, *words: str, cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs until the context is left."""
    environment = {
        **os.environ,
        "STUDBOOK_ADDRESS": stack.addresses.gateway,
        "STUDBOOK_TOKEN": token,
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    return line.rstrip("\n")


@pytest.fixture
def two(everyone: Everyone, new_id: Callable[[str], str]) -> list[str]:
    """Two versions of a model, none of which is in Production."""
    return two_versions(everyone, new_id)


def two_versions(people: Everyone, new_id: Callable[[str], str]) -> list[str]:
    experiment = story.create_experiment(people.ada, new_id("watched"))
    model = story.create_model(people.ada, new_id("watched"))
    return [
        story.register(
            people.ada, model, f"1.{seed}.0", story.train(people.ada, experiment, seed + 1).run
        ).name
        for seed in range(2)
    ]


def test_the_command_line_tells_what_a_name_stands_for(
    stack: LocalStack, everyone: Everyone, tokens: dict[str, str], two: list[str]
) -> None:
    name = two[0].split("/")[3]
    words = (*CLI, "model", "watch", f"{name}@production", "--json")
    with program(stack, tokens["serving"], *words) as process:
        assert json.loads(line_of(process))["version"] == ""
        for version in two:
            story.promote(everyone.release, version)
            assert json.loads(line_of(process))["version"] == version
        rest = (*CLI, "model", "watch", f"{name}@production", "--once")
        with program(stack, tokens["serving"], *rest) as once:
            assert line_of(once).split("\t")[1] == f"{name}@1.1.0"
            assert once.wait(PATIENCE_S) == 0


def test_the_command_line_tells_every_change_of_a_model(
    stack: LocalStack, everyone: Everyone, tokens: dict[str, str], two: list[str]
) -> None:
    name = two[0].split("/")[3]
    with program(stack, tokens["ada"], *CLI, "model", "watch", name) as process:
        assert {line_of(process).split("\t")[1] for _ in two} == {f"{name}@1.0.0", f"{name}@1.1.0"}
        story.promote(everyone.release, two[0])
        _, version, change, _, reason = line_of(process).split("\t")
        assert (version, change, reason) == (f"{name}@1.0.0", "None -> Production", "as a test")


def test_a_command_is_run_for_each_version_until_it_succeeds(
    stack: LocalStack, everyone: Everyone, tokens: dict[str, str], two: list[str], tmp_path: Path
) -> None:
    script = tmp_path / "swap.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "seen = pathlib.Path('seen')\n"
        "print(sys.argv[1], os.environ['STUDBOOK_NUMBER'], flush=True)\n"
        "first = not seen.exists()\n"
        "seen.touch()\n"
        "sys.exit(3 if first else 0)\n"
    )
    name = two[0].split("/")[3]
    story.promote(everyone.release, two[0])
    words = (
        *(*CLI, "model", "watch", f"{name}@production", "--exec"),
        f"{sys.executable} {script} {{version}}",
    )
    with program(stack, tokens["serving"], *words, cwd=tmp_path) as process:
        told = line_of(process)
        assert told.split("\t")[1] == f"{name}@1.0.0"
        assert [line_of(process) for _ in range(2)] == [f"{name}@1.0.0 1.0.0"] * 2
        story.promote(everyone.release, two[1])
        assert line_of(process).split("\t")[1] == f"{name}@1.1.0"
        assert line_of(process) == f"{name}@1.1.0 1.1.0"
    with program(
        stack, tokens["serving"], *words[:-1], "false {version}", "--once", cwd=tmp_path
    ) as failing:
        assert failing.wait(PATIENCE_S) == 1


def test_the_sidecar_swaps_the_model_without_a_restart(
    stack: LocalStack, everyone: Everyone, tokens: dict[str, str], two: list[str], tmp_path: Path
) -> None:
    name = two[0].split("/")[3]
    folder = tmp_path / "served"
    sidecar = str(ROOT / "examples" / "serving_sidecar.py")
    with Receiver() as server:
        words = (sys.executable, sidecar, name, str(folder), "--notify", server.url)
        story.promote(everyone.release, two[0])
        with program(stack, tokens["serving"], *words) as process:
            for count, version in enumerate(two):
                story.promote(everyone.release, version)
                told = json.loads(line_of(process))
                number = version.rpartition("/")[2]
                assert told["version"] == number
                assert server.received[count].content == told
                assert (folder / "current").resolve() == (folder / number).resolve()
                files = story.fetch(everyone.ada, version)
                assert files
                for path, data in files.items():
                    assert (folder / "current" / path).read_bytes() == data


def test_a_watch_goes_on_after_the_servers_were_killed(
    own_stack: LocalStack, people: Everyone, new_id: Callable[[str], str]
) -> None:
    first, second = two_versions(people, new_id)
    name = first.split("/")[3]
    away: list[StudbookError] = []
    seen = studbook.watch(f"{name}@production", client=people.serving, on_away=away.append)
    assert next(seen).version == ""
    story.promote(people.release, first)
    assert next(seen).version == first
    for victim in ("registry", "gateway"):
        own_stack.kill_child(victim)
        promoted = second if victim == "registry" else first
        insist(lambda promoted=promoted: story.promote(people.release, promoted))  # type: ignore[misc]
        assert next(seen).version == promoted
    seen.close()  # type: ignore[attr-defined]


def test_webhooks_from_the_command_line(
    stack: LocalStack,
    everyone: Everyone,
    tokens: dict[str, str],
    two: list[str],
    new_id: Callable[[str], str],
) -> None:
    hook, model = new_id("hook"), two[0].split("/")[3]

    def webhook(*words: str, code: int = 0) -> list[str]:
        with program(stack, tokens["olga"], *CLI, "webhook", *words) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == code, err
            return out.splitlines()

    with Receiver() as receiver:
        (secret,) = webhook("create", hook, "--url", receiver.url, "--models", model)
        assert webhook("test", hook)[0].split("\t")[1] == "204"
        story.promote(everyone.release, two[0])
        receiver._wait(2)
        assert all(request.signed_with(secret) for request in receiver.received)
        listed = [line.split("\t") for line in webhook("ls")]
        assert [row[1] for row in listed if row[0] == hook] == ["active"]
        # The receiver has it before the registry knows that, and is asked again where it was late.
        done = ["version.stage_changed", "delivered"]
        wait_until(lambda: done in [row.split("\t")[1:3] for row in webhook("deliveries", hook)])
        assert len(webhook("rotate", hook)) == 1
        webhook("rm", hook)
        webhook("test", hook, code=3)
