"""Gates: what is refused when they are set, how they turn out, and what they can cost."""

from __future__ import annotations

import math
import time
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from registry_service.gate_cost import MOST_STEPS
from registry_service.gate_expressions import ExpressionError, check, compiled
from registry_service.gate_facts import NO_VERSION, facts_of
from registry_service.gates import Sides, evaluate_gate
from registry_service.policy_records import Gate, OnMissing, Policy
from registry_service.records import Stage, Version, VersionState
from service_chassis.caller import Principal
from studbook.registry.v1.gate_subject_pb2 import GateSubject
from studbook.registry.v1.lineage_pb2 import (
    Lineage,
    LineageCode,
    LineageDataset,
    LineageMetric,
    LineageParam,
    LineageRun,
)

POLICY = Policy("workspaces/main/policies/p", 1, "", ("*",))
CANDIDATE: dict[str, Any] = {
    **NO_VERSION,
    "version": "1.1.0",
    "digest": "sha256:ab",
    "metrics": {"val/acc": {"last": 0.91, "count": 3}, "loss": {"last": 0.5}},
    "params": {"depth": 4, "criterion": "gini", "warm": True, "long": "a" * 8192},
    "files": {f"f{number}": {"digest": "d", "size_bytes": number} for number in range(3000)},
    "code": {"commit": "c0ffee", "dirty": False},
}
PRODUCTION: dict[str, Any] = {
    **NO_VERSION,
    "version": "1.0.0",
    "metrics": {"val/acc": {"last": 0.9}, "loss": {"last": 0.0}},
}
BESIDE = 'candidate.metrics["val/acc"].last >= production.metrics["val/acc"].last'
# As cheap to write as they would be dear to run.
COSTLY = (
    "candidate.files.all(a, candidate.files.all(b, a == b))",
    "candidate.files.all//\n(a, candidate.files . all (b, true))",
    "candidate.files.map(a, candidate.files).size() > 0",
    "candidate.files.all(a, .candidate.files == .candidate.files)",
    "candidate.files.all(a, (true ? candidate.files : candidate.files) == candidate.files)",
    "[candidate.files, candidate.files].all(v, v == v)",
    "[candidate].all(v, v == v)",
    "[[1].map(x, [x, x])].all(v, v == v)",
    '["a"]' + ".map(x, x + x)" * 30 + '.all(x, x == "")',
    '(["a"].map(x, x + x)).map(x, x + x).size() > 0',
    "{1: candidate.files}.all(k, true)",
    r'r"\" == "" || candidate.files.all(a, candidate.files.all(b, true)) || "" == r"\"',
    "'''' ''' == '' || candidate.files.all(a, candidate.files.all(b, true))",
    "candidate.files.all(a, 1.0 < 2.0 && candidate.files.all(b, true))",
    '"a".matches("(((a{100}){100}){100}){100}")',
    "(" * 900 + "true" + ")" * 900,
    "-".join(["1"] * 500) + " < 0",
)
# Refused only when there is so much to go through.
DEAR = (
    'candidate.files.all(f, f.matches("^[a-z]+[0-9]+$") && candidate.files[f].size_bytes >= 0)',
    "candidate.files.filter(f, true).size() > 0",
    "candidate.files.map(f, f + f).size() > 0",
    "[candidate.params.long + candidate.params.long].all(v, (v + v + v + v).matches('(a*)*b'))",
    " && ".join(["candidate.files == candidate.files"] * 20),
)


def outcome(
    expression: str, *, on_missing: OnMissing = OnMissing.BLOCK, alone: bool = False
) -> str:
    check(expression)
    gate = Gate("gate", expression, on_missing=on_missing)
    sides = Sides(CANDIDATE, NO_VERSION if alone else PRODUCTION)
    return evaluate_gate(POLICY, gate, sides).outcome.name


def refusal(expression: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        check(expression)
    return str(caught.value)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (BESIDE, "PASS"),
        (BESIDE + " + 0.5", "FAIL"),
        ('candidate.metrics["val/acc"].count == 3', "PASS"),
        ('candidate.metrics["val/acc"].last > 0', "PASS"),
        ('candidate.metrics["val/acc"].last in [0, 1]', "FAIL"),
        ("candidate.params.depth <= 4.5", "PASS"),
        ("candidate.params.depth == 4.0", "PASS"),
        ("candidate.params.warm", "PASS"),
        ("candidate.params.criterion > 1", "ERROR"),
        ("candidate.params.depth", "ERROR"),
        ("candidate.params.criterion.length > 1", "ERROR"),
        ("[1, 2][candidate.params.depth] == 1", "ERROR"),
        ("int(candidate.params.criterion) == 1", "ERROR"),
        ("9223372036854775807 + candidate.params.depth > 0", "ERROR"),
        ("candidate.metrics.loss.min < 1.0", "INCONCLUSIVE"),
        ("candidate.metrics.f1.last < 1.0", "INCONCLUSIVE"),
        ('!("f1" in candidate.metrics) || candidate.metrics.f1.last > 0.5', "PASS"),
        ("has(candidate.metrics.f1) && candidate.metrics.f1.last > 0.5", "FAIL"),
        ("candidate.metrics[candidate.params.criterion].last > 0.5", "INCONCLUSIVE"),
        ("candidate.metrics.all(k, candidate.metrics[k].last > 0.4)", "PASS"),
        ("production.metrics.all(k, k in candidate.metrics)", "PASS"),
        ('["loss", "f1"].exists(k, k in candidate.metrics)', "PASS"),
        ("candidate.metrics.filter(k, k.startsWith('val/')).size() == 1", "PASS"),
        ("candidate.params == production.params", "FAIL"),
        ("candidate.files == candidate.files", "PASS"),
    ],
)
def test_expressions_turn_out_as_they_read(expression: str, expected: str) -> None:
    assert outcome(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 / 0 == 1", "ERROR"),
        ("candidate.params.depth % 0 == 1", "ERROR"),
        ("candidate.metrics.loss.last / 0.0 > 1.0", "ERROR"),
        ("candidate.metrics.loss.last / production.metrics.loss.last > 1.0", "ERROR"),
        ("0.0 / 0.0 == 0.0", "ERROR"),
        ("(1.0 + 1.0) / (0.5 - candidate.metrics.loss.last) > 1.0", "ERROR"),
        ("candidate.metrics.all(k, 1.0 / production.metrics[k].last > 0.5)", "ERROR"),
        ("1.0 / -production.metrics.loss.last < 1.0", "ERROR"),
        ("1.0 / double(string(production.metrics.loss.last)) < 1.0", "ERROR"),
        ("production.metrics.loss.last == 0.0 || 1.0 / production.metrics.loss.last > 1.0", "PASS"),
        ("8 / 2 / 2 == 2 && 7 % 4 % 2 == 1 && 8 / -2 == -4", "PASS"),
        ("8.0 / candidate.metrics.loss.last == 16.0", "PASS"),
        ('"a/b" == "a/b" // 1/0', "PASS"),
        ("candidate.params.depth / candidate.params.nothing > 1", "INCONCLUSIVE"),
    ],
)
def test_no_fraction_is_divided_by_zero_either(expression: str, expected: str) -> None:
    assert outcome(expression) == expected


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("1 +", "line 1, column 4: Syntax error"),
        ("candidate.metrics.a.last > 0.5 &&\n  candidate.metric.b.last > 0.5", "line 2, column 12"),
        ("candidate.metric.b.last > 0.5", "there are version, digest, metrics"),
        ("candidate.metrics.a.latest > 0.5", "'latest'"),
        ("production.code.branche == 'main'", "'branche'"),
        ("model.metrics.a.last > 0.5", "undeclared reference"),
        ("candidate.metrics.a.last", "gives double"),
        ("candidate.metrics.a", "must give true or false"),
        ("'true'", "gives string"),
        ('candidate.metrics.a.last > "0.5"', "(double, string)"),
        ("candidate.metrics.a.last - 1 > 0.5", "write whole numbers as 1.0"),
        ("candidate.tags.stage > 1", "(string, int)"),
        ("candidate['metrics'].a.last > 1.0", "write a dot and the name"),
        ("production == null", "has(production.version)"),
        ('candidate.version.matches("(")', "invalid regular expression"),
        ("google.protobuf.Int32Value{value: 1} == 1", "messages cannot be made"),
        ("true" + " && true" * 300, "at most 2048"),
        ("rand() > 0.5", "undeclared reference to 'rand'"),
        ("", "Syntax error"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(expression: str, told: str) -> None:
    assert told in refusal(expression)


@pytest.mark.parametrize("expression", COSTLY, ids=range(len(COSTLY)))
def test_what_has_no_bound_is_refused(expression: str) -> None:
    started = time.process_time()
    assert refusal(expression)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("expression", DEAR, ids=range(len(DEAR)))
def test_what_there_is_too_much_of_is_an_error(expression: str) -> None:
    started = time.process_time()
    check(expression)
    result = evaluate_gate(POLICY, Gate("gate", expression), Sides(CANDIDATE, PRODUCTION))
    assert result.outcome.name == "ERROR"
    assert "steps" in result.message
    assert time.process_time() - started < 1


def test_what_may_be_run_is_cheap() -> None:
    sides = Sides(CANDIDATE, PRODUCTION)
    expression = compiled("candidate.files.all(f, candidate.files[f].size_bytes >= 0 && f != '')")
    assert MOST_STEPS / 2 < expression.shape.steps(sides.value) <= MOST_STEPS
    assert expression.evaluate(sides.activation) is True
    started = time.process_time()
    expression.evaluate(sides.activation)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize(
    ("expression", "on_missing", "expected"),
    [
        (BESIDE, OnMissing.BLOCK, "INCONCLUSIVE"),
        (BESIDE, OnMissing.SKIP_PRODUCTION, "PASS"),
        (BESIDE, OnMissing.SKIP, "PASS"),
        ("candidate.metrics.f1.last > 0.5", OnMissing.SKIP_PRODUCTION, "INCONCLUSIVE"),
        ("candidate.metrics.f1.last > 0.5", OnMissing.SKIP, "PASS"),
        ("candidate.metrics.loss.last > 0.6", OnMissing.SKIP, "FAIL"),
        ("1 / 0 == 1", OnMissing.SKIP, "ERROR"),
        (f"!has(production.version) || {BESIDE}", OnMissing.BLOCK, "PASS"),
        (f"has(production.metrics.loss) && {BESIDE}", OnMissing.BLOCK, "FAIL"),
    ],
)
def test_without_a_version_in_production(
    expression: str, on_missing: OnMissing, expected: str
) -> None:
    assert outcome(expression, on_missing=on_missing, alone=True) == expected


def test_figures_are_those_that_were_read() -> None:
    gate = Gate("gate", BESIDE + " - 0.005")
    result = evaluate_gate(POLICY, gate, Sides(CANDIDATE, PRODUCTION))
    assert dict(result.figures) == {
        'candidate.metrics["val/acc"].last': "0.91",
        'production.metrics["val/acc"].last': "0.9",
    }
    assert "0.91" in result.message


def test_figures_neither_drive_terminals_nor_grow_without_end() -> None:
    tags = {"note": "\x1b[2J\nhidden", "long": "a" * 5000}
    gate = Gate("gate", 'candidate.tags.note != "" && candidate.tags.long != ""')
    result = evaluate_gate(POLICY, gate, Sides({**CANDIDATE, "tags": tags}, PRODUCTION))
    assert result.figures["candidate.tags.note"] == "\ufffd[2J\ufffdhidden"
    assert len(result.figures["candidate.tags.long"]) == 201
    assert result.message.isprintable()


def test_what_an_earlier_release_let_be_set_is_an_error_now() -> None:
    gate = Gate("gate", "candidate.files.all(a, candidate.files.all(b, a == b))")
    assert evaluate_gate(POLICY, gate, Sides(CANDIDATE, PRODUCTION)).outcome.name == "ERROR"


def test_another_dataset_in_a_role_hides_none() -> None:
    def datasets(*digests: str) -> Any:
        lineage = Lineage(
            datasets=[
                LineageDataset(
                    name=f"workspaces/main/datasets/d/versions/{digest}",
                    role="training",
                    digest=digest,
                    format="csv",
                )
                for digest in digests
            ]
        )
        return facts_of(version(), lineage.SerializeToString())

    assert datasets("sha256:a").values["datasets"]["training"]["digest"] == "sha256:a"
    two = datasets("sha256:other", "sha256:a")
    assert set(two.values["datasets"]["training"]) == {"name", "format", "size_bytes", "row_count"}
    assert two.digested_roles == {"training"}
    assert not datasets("sha256:a", "").digested_roles
    gate = Gate("gate", 'candidate.datasets.training.digest == "sha256:a"')
    assert evaluate_gate(POLICY, gate, Sides(two.values, NO_VERSION)).blocks


def version() -> Version:
    return Version(
        uid="u",
        model_uid="m",
        model="workspaces/main/models/wine",
        name="workspaces/main/models/wine/versions/1.0.0",
        number="1.0.0",
        state=VersionState.READY,
        state_reason="",
        stage=Stage.NONE,
        stage_us=0,
        stage_position=1,
        was_in_production=False,
        source_run="",
        files=(),
        digest="ab",
        description="",
        tags={},
        creator=Principal("user:demo:ada", "user"),
        create_position=1,
        create_us=0,
        update_us=0,
        change_position=1,
    )


names = st.sampled_from(["loss", "val/acc", "f1", "x"])
paths = st.builds(
    lambda side, key, value: f'{side}.metrics["{key}"].{value}',
    st.sampled_from(["candidate", "production"]),
    names,
    st.sampled_from(["last", "min", "count", "first"]),
)
literals = st.sampled_from(["0", "0.0", "1", "2.5", '"a"', "true", "[1, 2]", "candidate.files"])


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", ">", "<=", "==", "&&", "||", "in"])
    return st.one_of(
        st.builds(lambda a, sign, b: f"({a} {sign} {b})", inner, operators, inner),
        st.builds(lambda a: f"!{a}", inner),
        st.builds(lambda a: f"-{a}", inner),
        st.builds(lambda a, b, c: f"({a} ? {b} : {c})", inner, inner, inner),
        st.builds(lambda a: f"[1, 2].exists(v, {a})", inner),
        st.builds(lambda a: f"candidate.files.all(k, {a})", inner),
        st.builds(lambda a: f"size({a})", inner),
    )


@given(st.one_of(st.recursive(st.one_of(paths, literals), joined), st.text(max_size=40)))
def test_whatever_is_written_is_refused_or_has_one_of_four_outcomes(expression: str) -> None:
    try:
        check(expression)
    except ExpressionError:
        return
    sides = Sides(CANDIDATE, PRODUCTION)
    started = time.process_time()
    result = evaluate_gate(POLICY, Gate("gate", expression), sides)
    assert time.process_time() - started < 1
    assert result.blocks == (result.outcome.name != "PASS")


@given(
    st.dictionaries(names, st.floats() | st.none()),
    st.dictionaries(names, st.floats() | st.none()),
)
def test_a_comparison_passes_only_if_both_are_numbers_and_it_holds(
    candidate: dict[str, float | None], production: dict[str, float | None]
) -> None:
    def side(metrics: dict[str, float | None]) -> dict[str, Any]:
        run = LineageRun(
            metrics=[
                LineageMetric(key=key, last=last)
                for key, last in metrics.items()
                if last is not None
            ]
        )
        return dict(facts_of(version(), Lineage(run=run).SerializeToString()).values)

    gate = Gate("gate", "candidate.metrics.loss.last <= production.metrics.loss.last")
    ours, theirs = candidate.get("loss"), production.get("loss")
    result = evaluate_gate(POLICY, gate, Sides(side(candidate), side(production)))
    if ours is None or theirs is None or math.isnan(ours) or math.isnan(theirs):
        assert result.outcome.name == "INCONCLUSIVE"
    else:
        assert result.outcome.name == ("PASS" if ours <= theirs else "FAIL")


def test_facts_are_what_the_contract_describes() -> None:
    lineage = Lineage(
        run=LineageRun(
            name="r",
            metrics=[LineageMetric(key="loss", last=0.5)],
            params=[LineageParam(key="lr", double_value=0.1)],
            tags={"team": "a"},
        ),
        datasets=[
            LineageDataset(
                name="workspaces/main/datasets/d/versions/1", role="training", row_count=-1
            )
        ],
        code=LineageCode(commit="c0ffee"),
    )
    values = facts_of(version(), lineage.SerializeToString()).values
    assert set(values) == set(GateSubject.DESCRIPTOR.fields_by_name)
    # What was not recorded is missing, and neither zero nor empty.
    assert set(values["datasets"]["training"]) == {"name", "version", "size_bytes"}
    assert set(values["code"]) == {"commit", "dirty"}
