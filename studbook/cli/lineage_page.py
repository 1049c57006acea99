"""The answer of `studbook model lineage`: how a version came to be, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.derivation_table import how, parent_text
from studbook.cli.model_tables import cause_text, stage_text, who
from studbook.cli.references import short_run, short_version
from studbook.cli.run_text import own_and_of_machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studbook.identity.v1.principal_pb2 import Principal
    from studbook.registry.v1.lineage_pb2 import (
        LineageCode,
        LineageDataset,
        LineageEnvironment,
        LineageMetric,
        LineageParam,
        LineageParent,
        LineageRun,
    )
    from studbook.registry.v1.lineage_service_pb2 import DerivedVersion, GetLineageResponse
    from studbook.registry.v1.promotion_service_pb2 import Transition
    from studbook.registry.v1.version_pb2 import Version

_Field = tuple[str, str]

# Named with their versions; of all other packages only the number is given, `--json` has them all.
_FRAMEWORKS = (
    "scikit-learn", "torch", "tensorflow", "keras", "jax", "xgboost", "lightgbm", "catboost",
    "transformers", "numpy", "pandas", "scipy",
)  # fmt: skip
# The claims that say which CI job it was, in the order in which a person would ask.
_CLAIMS = ("repository", "ref", "environment", "workflow_ref", "sha", "run_id", "actor")


def print_lineage(answer: GetLineageResponse, derived: Sequence[DerivedVersion] = ()) -> None:
    """Print which model, by which run, on what, from where, and who let it through when.

    Args:
        answer: The version and its lineage.
        derived: What came of it.
    """
    lineage = answer.lineage
    results, load = own_and_of_machine(lineage.run.metrics)
    output.print_fields(
        [
            *_version_fields(answer.version),
            *(("Begun from", _parent(parent)) for parent in lineage.parents),
            *_run_fields(lineage.run),
            *_figures("Result", results),
            *(("On data", _dataset(dataset)) for dataset in lineage.datasets),
            ("From code", _code(lineage.code) if lineage.HasField("code") else "not recorded"),
            (
                "Running on",
                _environment(lineage.environment)
                if lineage.HasField("environment")
                else "not recorded",
            ),
            *_figures("Its load", load),
            *_stage_fields(answer.version, list(answer.transitions)),
            *(("Led to", _descendant(one)) for one in derived),
        ]
    )


def _parent(parent: LineageParent) -> str:
    return f"{parent_text(parent)}, {output.short_digest(parent.digest)}"


def _descendant(one: DerivedVersion) -> str:
    stage = stage_text(one.version.stage)
    return f"{short_version(one.version.name)}, in {stage}, {how(one)}"


def _version_fields(version: Version) -> Iterator[_Field]:
    since = output.format_time(version.stage_time)
    yield "Version", f"{short_version(version.name)}, in {stage_text(version.stage)} since {since}"
    yield "Consists of", version.digest
    for file in version.files:
        size = output.format_bytes(file.size_bytes)
        yield "Consists of", f"{file.path}, {size}, {output.short_digest(file.digest)}"


def _run_fields(run: LineageRun) -> Iterator[_Field]:
    title = f' "{run.display_name}"' if run.display_name else ""
    yield "Trained by", f"run {short_run(run.name)}{title}, {run.state.lower()}"
    yield "Trained by", f"{who(run.creator)}, {_span(run)}"
    if run.params:
        yield "With", ", ".join(f"{param.key}={_param(param)}" for param in run.params)


def _figures(title: str, metrics: Sequence[LineageMetric]) -> Iterator[_Field]:
    if metrics:
        yield title, ", ".join(f"{m.key} {output.format_number(m.last)}" for m in metrics)


def _span(run: LineageRun) -> str:
    started = output.format_time(run.start_time)
    return (
        f"{started} to {output.format_time(run.end_time)}"
        if run.HasField("end_time")
        else (f"since {started}")
    )


def _param(param: LineageParam) -> str:
    match param.WhichOneof("value"):
        case "string_value":
            return param.string_value
        case "int_value":
            return str(param.int_value)
        case "double_value":
            return repr(param.double_value)
        case "bool_value":
            return str(param.bool_value)
        case _:
            return output.MISSING


def _dataset(dataset: LineageDataset) -> str:
    parts = dataset.name.split("/")
    name = parts[3] if len(parts) == 6 else dataset.name
    shape = f", {dataset.row_count} rows" if dataset.row_count >= 0 else ""
    if dataset.columns:
        shape += f", {len(dataset.columns)} {'column' if len(dataset.columns) == 1 else 'columns'}"
    source = f", from {dataset.source}" if dataset.source else ""
    return f"{dataset.role}: {name}{shape}, {output.short_digest(dataset.digest)}{source}"


def _code(code: LineageCode) -> str:
    place = [f"commit {code.commit[:12]}" if code.commit else "no commit"]
    if code.branch:
        place.append(f"on branch {code.branch}")
    if code.repository:
        place.append(f"of {code.repository}")
    text = " ".join(place)
    if code.commit:
        text += ", with uncommitted changes" if code.dirty else ", clean"
    if code.diff_digest:
        text += f" (difference {output.short_digest(code.diff_digest)})"
    return f"{text}, started {code.entry_point}" if code.entry_point else text


def _environment(environment: LineageEnvironment) -> str:
    packages = environment.packages
    named = [f"{name} {packages[name]}" for name in _FRAMEWORKS if name in packages]
    facts = [
        f"Python {environment.python_version}" if environment.python_version else "",
        f"{environment.platform} {environment.machine}".strip(),
        ", ".join(named),
        f"{len(packages)} packages in all" if packages else "",
        *environment.accelerators,
        f"image {environment.container_image_digest}" if environment.container_image_digest else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def _stage_fields(version: Version, transitions: list[Transition]) -> Iterator[_Field]:
    yield "Registered", f"{output.format_time(version.create_time)} by {who(version.creator)}"
    for change in transitions:
        until = output.format_time(change.end_time) if change.HasField("end_time") else "now"
        text = f"{stage_text(change.to_stage)} from {output.format_time(change.create_time)}"
        yield "Stood in", f"{text} until {until}"
        reason = f': "{change.reason}"' if change.reason else ""
        yield "Stood in", f"  {cause_text(change)}, {_who_exactly(change.actor)}{reason}"


def _who_exactly(principal: Principal) -> str:
    claims = principal.pipeline_claims
    job = [f"{claim} {claims[claim]}" for claim in _CLAIMS if claims.get(claim)]
    return f"{who(principal)} [{', '.join(job)}]" if job else who(principal)
