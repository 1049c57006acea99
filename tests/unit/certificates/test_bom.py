"""A certificate as CycloneDX: valid by the format's own schema, and nothing lost."""

from __future__ import annotations

import json
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from studbook.certificates.bom import render_bom
from studbook.certificates.envelope import read_envelope
from studbook.certificates.statement import read_statement
from tests.unit.certificates.made_certificates import FILES, certificate, resigned


def rendered(content: bytes) -> str:
    envelope = read_envelope(content)
    return render_bom(read_statement(envelope), envelope)


def bom(content: bytes) -> Any:
    """The bill of materials, which must be valid."""
    text = rendered(content)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_model_is_described_with_files_data_packages_and_ancestors() -> None:
    made = bom(certificate())
    model = made["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model", "wine-cultivar", "1.2.0",
    )  # fmt: skip
    files = {file["name"]: file["hashes"][0]["alg"] for file in model["components"]}
    assert files == dict.fromkeys(FILES, "SHA-256")
    parts = {(part["type"], part["name"], part["version"]) for part in made["components"]}
    assert parts == {
        ("data", "wine", "1"),
        ("library", "numpy", "2.0"),
        ("library", "pandas", "2.2"),
    }
    ancestors = {one["name"]: one["hashes"][0]["content"] for one in model["pedigree"]["ancestors"]}
    assert ancestors == {"wine-cultivar": "e" * 64, "https://hub.example/base": "f" * 64}
    assert model["pedigree"]["commits"] == [{"uid": "c" * 40}]
    purls = {part.get("purl") for part in made["components"]}
    assert "pkg:pypi/numpy@2.0" in purls


def test_model_card_names_data_and_results() -> None:
    made = bom(certificate())
    card = made["metadata"]["component"]["modelCard"]
    refs = {part["bom-ref"] for part in made["components"]}
    assert {one["ref"] for one in card["modelParameters"]["datasets"]} <= refs
    metrics = {
        one["type"]: one["value"] for one in card["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert metrics == {"accuracy": "0.97", "loss": "NaN"}


def test_model_depends_on_all_of_it() -> None:
    made = bom(certificate())
    depends = {one["ref"]: one.get("dependsOn", []) for one in made["dependencies"]}
    assert set(depends["model"]) == {part["bom-ref"] for part in made["components"]}


def test_same_certificate_gives_the_same_text() -> None:
    assert rendered(certificate()) == rendered(certificate())


def test_bare_version_is_described_too() -> None:
    made = bom(resigned(code=None, environment=None, datasets=[], parents=[]))
    assert made.get("components", []) == []
    assert "pedigree" not in made["metadata"]["component"]


def test_repository_of_any_form_is_named() -> None:
    for repository in ("git@git.example:wine.git", "/srv/git/with space", "https://a.example/<x>"):
        code = {"repository": repository, "commit": "", "dirty": False}
        made = bom(resigned(code=code))
        assert made["metadata"]["component"]["externalReferences"][0]["type"] == "vcs"
