"""Environment and code in requests as records, their shape checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service_chassis.errors import invalid_field
from service_chassis.validation import (
    check_artifact_path,
    check_count,
    check_digest,
    check_not_negative,
    check_text,
)
from tracking_service.records import Code, CondaEnvironment, Environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from studbook.tracking.v1 import run_pb2

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# No length is promised for what describes a machine or a program; this keeps out nonsense.
_LONGEST_FACT = 4096
_MOST_FACTS = 10_000
_LONGEST_NAME = 256
_MOST_CHANNELS = 100
_MOST_UNTRACKED = 1000


def read_environment(environment: run_pb2.Environment) -> Environment:
    """Where a run ran."""
    field = "environment"
    return Environment(
        python_version=_fact(environment.python_version, f"{field}.python_version"),
        python_implementation=_fact(
            environment.python_implementation, f"{field}.python_implementation"
        ),
        platform=_fact(environment.platform, f"{field}.platform"),
        machine=_fact(environment.machine, f"{field}.machine"),
        cpu_count=check_not_negative(environment.cpu_count, f"{field}.cpu_count"),
        memory_bytes=check_not_negative(environment.memory_bytes, f"{field}.memory_bytes"),
        packages=_packages(environment.packages, f"{field}.packages"),
        hostname=_fact(environment.hostname, f"{field}.hostname"),
        command_line=_facts(environment.command_line, f"{field}.command_line"),
        accelerators=_facts(environment.accelerators, f"{field}.accelerators"),
        container_image_digest=_fact(
            environment.container_image_digest, f"{field}.container_image_digest"
        ),
        conda=_conda(environment.conda) if environment.HasField("conda") else None,
        cpu_model=check_text(environment.cpu_model, f"{field}.cpu_model", _LONGEST_NAME),
    )


def _conda(conda: run_pb2.CondaEnvironment) -> CondaEnvironment:
    field = "environment.conda"
    channels = _facts(conda.channels, f"{field}.channels", most=_MOST_CHANNELS)
    return CondaEnvironment(
        name=check_text(conda.name, f"{field}.name", _LONGEST_NAME),
        packages=_packages(conda.packages, f"{field}.packages"),
        channels=tuple(
            _without_credentials(channel, f"{field}.channels[{index}]")
            for index, channel in enumerate(channels)
        ),
    )


def read_code(code: run_pb2.Code) -> Code:
    """Which code ran."""
    if code.commit and not _COMMIT.fullmatch(code.commit):
        raise invalid_field(
            "code.commit", code.commit, "give 40 or 64 hexadecimal digits in lower case"
        )
    if code.diff_digest:
        check_digest(code.diff_digest, "code.diff_digest")
    if code.diff_artifact:
        check_artifact_path(code.diff_artifact, "code.diff_artifact")
    return Code(
        repository=_without_credentials(
            _fact(code.repository, "code.repository"), "code.repository"
        ),
        commit=code.commit,
        branch=_fact(code.branch, "code.branch"),
        dirty=code.dirty,
        diff_digest=code.diff_digest,
        entry_point=_fact(code.entry_point, "code.entry_point"),
        untracked_files=_facts(code.untracked_files, "code.untracked_files", most=_MOST_UNTRACKED),
        untracked_count=_untracked_count(code),
        diff_artifact=code.diff_artifact,
    )


def _untracked_count(code: run_pb2.Code) -> int:
    listed = len(code.untracked_files)
    if code.untracked_count < listed:
        raise invalid_field(
            "code.untracked_count",
            code.untracked_count,
            f"count those that are listed in code.untracked_files too, which are {listed}",
        )
    return code.untracked_count


def _without_credentials(url: str, field: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        # Not a URL, such as a path or `git@host:path`.
        return url
    # In http the user is a token more often than not; in ssh it is `git`.
    if parts.password is not None or (parts.username and parts.scheme in {"http", "https"}):
        # The value itself must not appear in logs.
        raise invalid_field(
            field, f"{parts.scheme}://***@{parts.hostname}", "leave out credentials"
        )
    return url


def _packages(packages: Mapping[str, str], field: str) -> dict[str, str]:
    check_count(packages, field, _MOST_FACTS)
    return {
        _fact(name, field): _fact(version, f"{field}[{name}]") for name, version in packages.items()
    }


def _facts(values: Iterable[str], field: str, most: int = _MOST_FACTS) -> tuple[str, ...]:
    found = tuple(values)
    check_count(found, field, most)
    return tuple(_fact(value, f"{field}[{index}]") for index, value in enumerate(found))


def _fact(text: str, field: str) -> str:
    return check_text(text, field, _LONGEST_FACT)
