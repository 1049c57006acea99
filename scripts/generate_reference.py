"""Write the contract reference, `docs/reference/contract/*.md`, from the compiled protos.

With `--check` nothing is written; the exit code is 1 when a committed page is not what the
contracts give. Run `generate_stubs.py` first: it writes the image that is read here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2

from studbook.access.v1 import access_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
IMAGE = ROOT / "build" / "studbook.binpb"
TARGET = ROOT / "docs" / "reference" / "contract"
AREAS = {
    "tracking": "Tracking: experiments, runs, metrics, datasets, artifacts",
    "registry": "Registry: models, versions, stages, serving, lineage, ledger",
    "identity": "Identity: who am I, what may I do",
    "errors": "Error reasons",
    "access": "Access rules in the contract",
}
_File = descriptor_pb2.FileDescriptorProto
_Field = descriptor_pb2.FieldDescriptorProto


def comments(file: _File) -> dict[tuple[int, ...], str]:
    """Leading comments by location path."""
    return {
        tuple(location.path): location.leading_comments.strip()
        for location in file.source_code_info.location
    }


def one_line(text: str) -> str:
    """A comment as it may stand in a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def paragraphs(text: str) -> str:
    """A comment with its paragraphs, its errors as one of them, without leading blanks."""
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(f"\n{line}" if line.startswith("Errors:") else line for line in lines)


def type_name(field: _Field, package: str) -> str:
    """A field's type as one would write it in a proto."""
    if field.type_name:
        name = field.type_name.lstrip(".").removeprefix(f"{package}.")
    else:
        name = _Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    repeated = field.label == _Field.LABEL_REPEATED
    return f"repeated {name}" if repeated else name


def behaviour(field: _Field) -> str:
    """REQUIRED, OUTPUT_ONLY and so on, in small letters."""
    values = field.options.Extensions[field_behavior_pb2.field_behavior]
    return ", ".join(
        field_behavior_pb2.FieldBehavior.Name(value).lower().replace("_", " ") for value in values
    )


def map_type(message: descriptor_pb2.DescriptorProto, field: _Field, package: str) -> str:
    """The type of a map field, or the plain type of any other."""
    entry = field.type_name.rsplit(".", 1)[-1]
    for nested in message.nested_type:
        if nested.options.map_entry and nested.name == entry:
            key, value = nested.field
            return f"map<{type_name(key, package)}, {type_name(value, package)}>"
    return type_name(field, package)


def message_lines(file: _File, index: int, notes: dict[tuple[int, ...], str]) -> Iterator[str]:
    """One message: what it is, and a table of its fields."""
    message = file.message_type[index]
    yield f"### {message.name}\n"
    yield paragraphs(notes.get((4, index), "")) + "\n"
    if message.field:
        yield "| # | Field | Type | | Meaning |\n|---|---|---|---|---|"
    for number, field in enumerate(message.field):
        meaning = one_line(notes.get((4, index, 2, number), ""))
        kind = map_type(message, field, file.package)
        yield f"| {field.number} | `{field.name}` | `{kind}` | {behaviour(field)} | {meaning} |"
    yield ""


def enum_lines(file: _File, index: int, notes: dict[tuple[int, ...], str]) -> Iterator[str]:
    """One enum: what it is, and a table of its values."""
    enum = file.enum_type[index]
    yield f"### {enum.name}\n"
    yield paragraphs(notes.get((5, index), "")) + "\n"
    yield "| # | Value | Meaning |\n|---|---|---|"
    for number, value in enumerate(enum.value):
        meaning = one_line(notes.get((5, index, 2, number), ""))
        yield f"| {value.number} | `{value.name}` | {meaning} |"
    yield ""


def access_sentence(rule: Any) -> str:
    """What it takes to call, in words."""
    if rule.public:
        return "Needs no token."
    if rule.any_caller:
        return "Any authenticated caller may call it."
    where = f"`{rule.resource_field}`"
    below = " or on anything below it" if rule.lists_children else ""
    sentence = f"Needs `{rule.permission}` on {where}{below}."
    if rule.may_also_require:
        further = ", ".join(f"`{permission}`" for permission in rule.may_also_require)
        sentence += f" Depending on the request also {further}."
    if rule.internal:
        sentence += " For services of Studbook only; the gateway does not forward it."
    return sentence


def service_lines(file: _File, index: int, notes: dict[tuple[int, ...], str]) -> Iterator[str]:
    """One service with its RPCs."""
    service = file.service[index]
    yield f"## {service.name}\n"
    yield paragraphs(notes.get((6, index), "")) + "\n"
    for number, method in enumerate(service.method):
        request = method.input_type.rsplit(".", 1)[-1]
        response = method.output_type.rsplit(".", 1)[-1]
        first = "stream " if method.client_streaming else ""
        second = "stream " if method.server_streaming else ""
        yield f"### {service.name}.{method.name}\n"
        yield f"`{method.name}({first}{request}) returns ({second}{response})`\n"
        yield paragraphs(notes.get((6, index, 2, number), "")) + "\n"
        yield access_sentence(method.options.Extensions[access_pb2.requires]) + "\n"


def page(title: str, files: list[_File]) -> str:
    """One page for all files of an area: services first, then messages and enums."""
    lines = [
        f"# {title}\n",
        "<!-- Generated by `make generate` from protos/. Do not edit. -->\n",
        f"Package `{files[0].package}`.\n",
    ]
    for file in files:
        for index in range(len(file.service)):
            lines += service_lines(file, index, comments(file))
    lines.append("## Messages\n")
    for file in files:
        notes = comments(file)
        for index in range(len(file.message_type)):
            lines += message_lines(file, index, notes)
        for index in range(len(file.enum_type)):
            lines += enum_lines(file, index, notes)
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[Path, str]:
    """Every page of the reference by its path."""
    image = descriptor_pb2.FileDescriptorSet.FromString(IMAGE.read_bytes())
    return {
        TARGET / f"{area}.md": page(
            title, [file for file in image.file if file.package == f"studbook.{area}.v1"]
        )
        for area, title in AREAS.items()
    }


def main() -> int:
    """Write the pages, or compare them with what is committed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = 0
    for path, text in pages().items():
        if check:
            if not path.exists() or path.read_text() != text:
                print(f"not what protos/ gives: {path} (run `make generate`)", file=sys.stderr)
                stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
