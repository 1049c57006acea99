"""A certificate as a page for people: one HTML file that needs nothing else, made to be printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studbook.certificates.markup import (
    Html,
    code,
    fields,
    section,
    table,
    text,
    value_of,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from studbook.certificates.envelope import Envelope
    from studbook.certificates.statement import Statement

# Nothing is loaded and nothing runs, whatever a name or a reason may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; padding-bottom: .2rem;
  border-bottom: 1px solid #d0d7de; }
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; }
p { margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; margin: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0;
  overflow-wrap: anywhere; }
thead th { border-bottom: 1px solid #d0d7de; font-weight: 600; white-space: nowrap; }
.fields th { width: 11rem; font-weight: 600; }
.members { list-style: none; padding: 0; }
.key { color: #57606a; margin-right: .35rem; }
code, pre { font: .86em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f6f8fa; padding: .7rem; border-radius: 4px; }
ul { margin: 0; padding-left: 1.1rem; }
.none, .lead { color: #57606a; }
.packages { columns: 3; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  section { break-inside: auto; } h2, h3 { break-after: avoid; } tr { break-inside: avoid; }
}
"""


def render_page(statement: Statement, envelope: Envelope) -> str:
    """The page of a certificate.

    Args:
        statement: What the certificate says.
        envelope: The certificate; it is put at the end of the page, to be verified from there.
    """
    version, predicate = statement.version, statement.predicate
    name = _short(version["name"])
    body = Html(
        "".join(
            [
                f"<header><p class=lead>Certificate of a model version</p><h1>{text(name)}</h1>",
                f"<p>{_standing(predicate['stages'])}</p></header>",
                section("The version", _version(version)),
                section("Its files", _files(version["files"])),
                section("Trained by", _run(predicate["run"])),
                section("On data", *_datasets(predicate["datasets"])),
                section("From code", _code(predicate["code"])),
                section("Running on", _environment(predicate["environment"])),
                section("Begun from", _parents(predicate["parents"])),
                section("Parameters", _parameters(predicate["run"])),
                section("Results", _metrics(predicate["run"])),
                section("Where it stood, and who let it through", *_stages(predicate["stages"])),
                section("How to verify this", *_proof(predicate, envelope)),
            ]
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Certificate of {text(name)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _short(name: str) -> str:
    """`NAME@1.2.0` for the resource name of a version."""
    parts = name.split("/")
    return f"{parts[3]}@{parts[5]}" if len(parts) == 6 else name


def _standing(stages: list[Mapping[str, Any]]) -> Html:
    last = stages[-1]
    return text(f"In {last['stage'].capitalize()} since {last['startTime']}.")


def _version(version: Mapping[str, Any]) -> Html:
    return fields(
        [
            ("Name", code(version["name"])),
            ("Digest", code(version["digest"])),
            ("UID", code(version["uid"])),
            ("Description", value_of(version["description"])),
            ("Tags", value_of(version["tags"])),
            ("Registered", text(version["registrationTime"])),
            ("By", _who(version["registeredBy"])),
        ]
    )


def _files(files: Iterable[Mapping[str, Any]]) -> Html:
    rows = [[code(one["path"]), text(one["sizeBytes"]), code(one["digest"])] for one in files]
    return table(("Path", "Bytes", "Digest"), rows)


def _run(run: Mapping[str, Any]) -> Html:
    return fields(
        [
            ("Run", code(run["name"])),
            ("Called", value_of(run["displayName"])),
            ("State", text(run["state"].lower())),
            ("By", _who(run["createdBy"])),
            ("Started", value_of(run["startTime"])),
            ("Ended", value_of(run["endTime"])),
            ("Tags", value_of(run["tags"])),
        ]
    )


def _datasets(datasets: Iterable[Mapping[str, Any]]) -> list[Html]:
    parts = []
    for one in datasets:
        columns = [f"{column['name']} ({column['type']})" for column in one["columns"]]
        parts.append(
            Html(f"<h3>{text(one['role'] or 'data')}</h3>")
            + fields(
                [
                    ("Dataset", code(one["name"])),
                    ("Digest", code(one["digest"])),
                    ("Form", value_of(one["format"])),
                    ("Source", value_of(one["source"])),
                    ("Rows", value_of(one["rowCount"])),
                    ("Bytes", value_of(one["sizeBytes"])),
                    ("Columns", text(", ".join(columns))),
                ]
            )
        )
    return [Html(part) for part in parts] or [value_of([])]


def _code(recorded: Mapping[str, Any] | None) -> Html:
    if recorded is None:
        return value_of(None)
    return fields(
        [
            ("Repository", value_of(recorded["repository"])),
            ("Commit", code(recorded["commit"])),
            ("Branch", value_of(recorded["branch"])),
            ("Uncommitted changes", value_of(recorded["dirty"])),
            ("Their digest", code(recorded["diffDigest"])),
            ("Entry point", value_of(recorded["entryPoint"])),
        ]
    )


def _environment(environment: Mapping[str, Any] | None) -> Html:
    if environment is None:
        return value_of(None)
    packages = environment["packages"]
    listed = "".join(f"<li>{text(f'{name} {packages[name]}')}</li>" for name in sorted(packages))
    return fields(
        [
            ("Python", value_of(environment["pythonVersion"])),
            ("Platform", value_of(environment["platform"])),
            ("Machine", value_of(environment["machine"])),
            ("Accelerators", value_of(environment["accelerators"])),
            ("Container image", code(environment["containerImageDigest"])),
            ("Packages", Html(f'<ul class="packages">{listed}</ul>' if listed else "")),
        ]
    )


def _parents(parents: Iterable[Mapping[str, Any]]) -> Html:
    rows = [[code(one["version"] or one["uri"]), code(one["digest"])] for one in parents]
    return table(("Parent", "Digest"), rows)


def _parameters(run: Mapping[str, Any]) -> Html:
    rows = [[code(one["key"]), text(one["value"])] for one in run["parameters"]]
    return table(("Parameter", "Value"), rows)


def _metrics(run: Mapping[str, Any]) -> Html:
    names = ("last", "min", "max", "mean", "count")
    rows = [[code(one["key"]), *(text(one[name]) for name in names)] for one in run["metrics"]]
    return table(("Metric", "Last", "Smallest", "Largest", "Mean", "Points"), rows)


def _stages(stages: Iterable[Mapping[str, Any]]) -> list[Html]:
    return [_stage(stay) for stay in stages]


def _stage(stay: Mapping[str, Any]) -> Html:
    until = stay["endTime"] or "now"
    cause = stay["cause"].lower()
    caused_by = f", by ledger entry {stay['causedBy']}" if stay["causedBy"] else ""
    rows = [
        ("From", text(stay["startTime"])),
        ("Until", text(until)),
        ("Cause", text(f"{cause}{caused_by}")),
        ("By", _who(stay["by"])),
        ("Reason", value_of(stay["reason"])),
        *_decision(stay["decision"]),
        ("Approved by", _approvals(stay["approvals"])),
        ("Ledger entry", text(f"{stay['ledgerPosition']}, hash {stay['ledgerHash']}")),
    ]
    title = stay["stage"].capitalize()
    return Html(f"<h3>{text(title)}</h3>{fields(rows)}")


def _decision(decision: Mapping[str, Any]) -> Iterator[tuple[str, Html]]:
    for key, value in sorted(decision.items()):
        yield words(key), _rules(value) if key == "rules" else value_of(value)


def _rules(rules: Any) -> Html:
    if not isinstance(rules, list) or not all(isinstance(one, dict) for one in rules):
        return value_of(rules)
    told = ("rule", "outcome", "message", "figures")
    rows = [[value_of(one.get(name)) for name in told] for one in rules]
    return table(("Rule", "Outcome", "What it found", "Figures"), rows)


def _approvals(approvals: list[Mapping[str, Any]]) -> Html:
    rows = [
        [_who(one["by"]), text(one["time"]), text(one["comment"]), text(one["ledgerPosition"])]
        for one in approvals
    ]
    return table(("By", "At", "Comment", "Ledger entry"), rows) if rows else Html("")


def _who(principal: Mapping[str, Any]) -> Html:
    label = principal["displayName"]
    shown = f"{label} ({principal['id']})" if label else principal["id"] or "nobody known"
    claims = principal["pipelineClaims"]
    return Html(text(shown) + (value_of(claims) if claims else ""))


def _proof(predicate: Mapping[str, Any], envelope: Envelope) -> list[Html]:
    ledger = predicate["ledger"]
    return [
        Html(
            "<p>This page is made from the certificate below, which the registry has signed; the "
            "page itself is not signed. Save the certificate as it stands, in one line, and verify "
            "it and the files with <code>studbook verify FILES --certificate FILE --key "
            "KEY</code>, which needs no network.</p>"
        ),
        fields(
            [
                ("Key", code(envelope.key_id)),
                ("Ledger position", text(ledger["position"])),
                ("Ledger hash", code(ledger["hash"])),
                ("Last entry", text(ledger["time"])),
            ]
        ),
        Html(f"<pre>{text(envelope.encode().decode())}</pre>"),
    ]
