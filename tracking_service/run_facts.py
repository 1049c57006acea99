"""What is known of a run's environment and code as text by field, so that runs can be compared."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracking_service.records import Code, Environment, Run


def facts_of(run: Run) -> Mapping[str, str]:
    """Each fact by its path in the contract's Run; facts that are not known are left out.

    Packages are no facts: they are compared by themselves.
    """
    facts: dict[str, str] = {}
    if run.environment is not None:
        facts |= {f"environment.{name}": text for name, text in _of_environment(run.environment)}
    if run.code is not None:
        facts |= {f"code.{name}": text for name, text in _of_code(run.code)}
    return {field: text for field, text in facts.items() if text}


def _of_environment(environment: Environment) -> list[tuple[str, str]]:
    conda = environment.conda
    return [
        ("python_version", environment.python_version),
        ("python_implementation", environment.python_implementation),
        ("platform", environment.platform),
        ("machine", environment.machine),
        ("cpu_count", _number(environment.cpu_count)),
        ("cpu_model", environment.cpu_model),
        ("memory_bytes", _number(environment.memory_bytes)),
        ("hostname", environment.hostname),
        ("command_line", shlex.join(environment.command_line)),
        ("accelerators", ", ".join(environment.accelerators)),
        ("container_image_digest", environment.container_image_digest),
        ("conda.name", "" if conda is None else conda.name),
        ("conda.channels", "" if conda is None else ", ".join(conda.channels)),
    ]


def _of_code(code: Code) -> list[tuple[str, str]]:
    # Without a commit nobody has looked whether the files differ from it.
    dirty = ("false", "true")[code.dirty] if code.commit else ""
    return [
        ("repository", code.repository),
        ("commit", code.commit),
        ("branch", code.branch),
        ("dirty", dirty),
        ("diff_digest", code.diff_digest),
        ("entry_point", code.entry_point),
        ("untracked_count", _number(code.untracked_count)),
    ]


def _number(count: int) -> str:
    return str(count) if count else ""
