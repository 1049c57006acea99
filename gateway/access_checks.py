"""Reading `access.yaml`: every fault is found in one go, each with its line and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gateway.access_file import AccessFile, Issuer, PeopleIssuer
from gateway.pipeline_checks import audience_problems, pipeline_problems
from service_chassis.permissions import (
    BUILT_IN_ROLES,
    INTERNAL_PERMISSIONS,
    PERMISSIONS,
    is_valid_pattern,
    is_whole,
)
from studbook.positioned_yaml import Document, YamlError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

    from gateway.access_file import Binding, DenialEntry
    from gateway.pipeline_checks import Problem
    from studbook.positioned_yaml import Path

_LARGEST_FILE = 1024 * 1024


@dataclass(frozen=True, order=True)
class Finding:
    """Something about an access file that its author should know.

    Attributes:
        line: The line that it is about, counted from 1.
        place: The same as a path, `bindings[0].members[1]`.
        text: What is wrong, and what to do; the end of a sentence whose subject is the place.
    """

    line: int
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}."


class AccessFileError(ValueError):
    """The file cannot be used. The message has a line for every fault, as compilers write them.

    Args:
        message: What is wrong.
        faults: The same one by one, where it stands in the file.
    """

    def __init__(self, message: str, faults: Iterable[Finding] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    @classmethod
    def of(cls, name: str, faults: Iterable[Finding]) -> AccessFileError:
        """The error for the faults of the file of a name."""
        found = sorted(faults)
        return cls("\n".join(f"{name}:{fault.line}: {fault}" for fault in found), found)


def read_access_file(text: str, name: str = "access.yaml") -> AccessFile:
    """Read and check the text of an access file.

    Raises:
        AccessFileError: It is not YAML, not of the right form, or contradicts itself.
    """
    return read_with_lines(text, name)[0]


def read_with_lines(text: str, name: str) -> tuple[AccessFile, Document]:
    """The same, with the lines on which everything stands.

    Raises:
        AccessFileError: It is not YAML, not of the right form, or contradicts itself.
    """
    if len(text) > _LARGEST_FILE:
        fault = Finding(1, "file", f"is larger than {_LARGEST_FILE} bytes")
        raise AccessFileError.of(name, [fault])
    try:
        document = parse(text)
    except YamlError as error:
        raise AccessFileError.of(name, [Finding(error.line, "file", error.problem)]) from None
    try:
        file = AccessFile.model_validate(document.value)
    except ValidationError as error:
        problems = [
            (tuple(problem["loc"]), _in_words(problem))
            for problem in error.errors(include_url=False)
        ]
        raise AccessFileError.of(name, located(document, problems)) from None
    found = list(_contradictions(file))
    if found:
        raise AccessFileError.of(name, located(document, found))
    return file, document


def located(document: Document, problems: Iterable[Problem]) -> list[Finding]:
    """Problems with the lines that they are about."""
    return [Finding(document.line(path), _place(document, path), text) for path, text in problems]


def _place(document: Document, path: Path) -> str:
    """The path as a person would write it, `bindings[0].members[1]`."""
    text = ""
    known: Path = ()
    for part in path:
        # Pydantic names the branch of a union too; only what stands in the file helps a reader.
        if (*known, part) not in document.lines:
            continue
        known = (*known, part)
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "file"


_WORDS = {
    "extra_forbidden": "is not a setting that exists here; correct its name or remove it",
    "union_tag_not_found": "needs `kind: people` or `kind: pipelines`",
    "model_type": "must hold settings, one `name: value` a line",
    "dict_type": "must hold settings, one `name: value` a line",
    "too_short": "must not be empty",
    "timezone_aware": "needs a time zone; write 2026-01-31T17:00:00Z",
}


def _in_words(problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return f"{problem['loc'][-1]} is missing; it must be given"
    if problem["type"] == "string_type":
        return f"is {problem['input']!r}, which YAML does not read as text; put it in quotes"
    return _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))


def _contradictions(file: AccessFile) -> Iterator[Problem]:
    yield from _issuer_problems(file)
    for name, pipeline in file.pipelines.items():
        yield from pipeline_problems(file, name, pipeline)
    yield from _role_problems(file)
    for index, binding in enumerate(file.bindings):
        place: Path = ("bindings", index)
        if binding.role not in BUILT_IN_ROLES and binding.role not in file.roles:
            known = ", ".join([*BUILT_IN_ROLES, *file.roles])
            yield (*place, "role"), f'"{binding.role}" is not a role; there are {known}'
        yield from _entry_problems(file, place, binding)
    for index, denial in enumerate(file.denials):
        yield from _denial_problems(file, ("denials", index), denial)
    yield from _revocation_problems(file)


def _revocation_problems(file: AccessFile) -> Iterator[Problem]:
    for index, name in enumerate(file.revoked.issuers):
        if name not in file.issuers:
            known = ", ".join(file.issuers)
            yield ("revoked", "issuers", index), f'"{name}" is not an issuer; there are {known}'
    for index, entry in enumerate(file.revoked.principals):
        text = _revoked_problem(file, entry.principal)
        if text:
            yield ("revoked", "principals", index, "principal"), f'"{entry.principal}" {text}'


def _entry_problems(
    file: AccessFile, place: Path, entry: Binding | DenialEntry
) -> Iterator[Problem]:
    for number, member in enumerate(entry.members):
        text = member_problem(file, member)
        if text:
            yield (*place, "members", number), f'"{member}" {text}'
    for number, pattern in enumerate(entry.resources):
        if not is_valid_pattern(pattern):
            yield (
                (*place, "resources", number),
                (
                    f'"{pattern}" is not a resource pattern; write a resource name such as '
                    "workspaces/main/models/wine-cultivar, with * for any part of a segment "
                    "and ** at the end for everything below"
                ),
            )


def _denial_problems(file: AccessFile, place: Path, entry: DenialEntry) -> Iterator[Problem]:
    yield from _entry_problems(file, place, entry)
    for index, permission in enumerate(entry.permissions or ()):
        if text := _permission_problem(permission):
            yield (*place, "permissions", index), text
    for number, pattern in enumerate(entry.resources):
        # What belongs to a model or an experiment is told together with it; a part cannot be kept
        # from somebody who may see the whole.
        if is_valid_pattern(pattern) and not is_whole(pattern):
            yield (
                (*place, "resources", number),
                (
                    f'"{pattern}" is not a whole; a denial is for workspaces, or for models, '
                    "experiments or datasets in them, with all that is below: "
                    "workspaces/main/models/wine-cultivar/**"
                ),
            )


def _permission_problem(permission: str) -> str:
    if permission in INTERNAL_PERMISSIONS:
        return f'"{permission}" is for services among themselves'
    if permission not in PERMISSIONS:
        return f'"{permission}" is not a permission; there are {", ".join(sorted(PERMISSIONS))}'
    return ""


def _revoked_problem(file: AccessFile, principal: str) -> str:
    if principal.startswith("group:"):
        return "is a group, and tokens are revoked one by one or by who holds them; name those"
    return member_problem(file, principal)


def _issuer_problems(file: AccessFile) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    introspected: dict[str, str] = {}
    for name, issuer in file.issuers.items():
        place = ("issuers", name)
        if issuer.url in seen:
            yield (
                (*place, "url"),
                (
                    f'"{issuer.url}" is the URL of {seen[issuer.url]} too; an issuer is either for '
                    "people or for pipelines"
                ),
            )
        seen[issuer.url] = name
        if issuer.ca_file is not None and not issuer.url.startswith("https:"):
            yield (*place, "ca_file"), "is for https, and the issuer's URL has http; remove it"
        if isinstance(issuer, PeopleIssuer) and issuer.introspection is not None:
            prefix = issuer.introspection.token_prefix or ""
            for other, others in introspected.items():
                if prefix.startswith(other) or other.startswith(prefix):
                    yield (
                        (*place, "introspection"),
                        (
                            f"stands at {others} too, and an opaque token does not say whose it "
                            "is; give each a token_prefix, none of which begins with another"
                        ),
                    )
            introspected[prefix] = name
        if isinstance(issuer, PeopleIssuer):
            yield from _people_problems(place, issuer)
        else:
            yield from audience_problems(place, issuer)


def _people_problems(place: Path, issuer: PeopleIssuer) -> Iterator[Problem]:
    logins = issuer.login_clients
    if issuer.bearer == "id_token" and issuer.groups_source == "userinfo":
        yield (
            (*place, "groups_source"),
            "the userinfo endpoint takes access tokens, and with `bearer: id_token` there are none",
        )
    if issuer.bearer == "id_token" and logins and issuer.audience not in logins:
        yield (
            (*place, "audience"),
            (
                "ID tokens are made out to the client that logs people in, so with `bearer: "
                f'id_token` it must be "{logins[0]}"'
            ),
        )
    if issuer.bearer != "id_token" and issuer.audience in logins:
        yield (
            (*place, "audience"),
            (
                f'"{issuer.audience}" is the client id of the login as well; ID tokens '
                "carry it as their audience and would pass for access tokens. Register the "
                "gateway as a resource (API) of its own at the issuer"
            ),
        )
    if issuer.bearer == "id_token" and issuer.service_accounts and issuer.introspection is None:
        yield (
            (*place, "service_accounts"),
            (
                "get access tokens, which are not taken where the bearer is an id_token, unless "
                "they are opaque and `introspection` says how to ask about them"
            ),
        )
    clients = [account.client_id for account in issuer.service_accounts]
    for index, client in enumerate(clients):
        if client in clients[:index]:
            yield (*place, "service_accounts", index), f'"{client}" stands here twice'
        if client in logins:
            yield (
                (*place, "service_accounts", index),
                f'"{client}" logs people in, so it cannot be a service account',
            )


def _role_problems(file: AccessFile) -> Iterator[Problem]:
    for name, permissions in file.roles.items():
        if name in BUILT_IN_ROLES:
            yield ("roles", name), "is a built-in role; choose another name"
        for index, permission in enumerate(permissions):
            if text := _permission_problem(permission):
                yield ("roles", name, index), text


def member_problem(file: AccessFile, member: str) -> str:
    """What is wrong with a member entry, as the end of a sentence; empty when nothing is."""
    kind, _, rest = member.partition(":")
    if kind == "pipeline":
        return "" if rest in file.pipelines else "names a pipeline that the file does not define"
    issuer_name, _, value = rest.partition(":")
    if kind not in {"user", "group", "service"} or not value:
        return (
            "is not a member; write user:ISSUER:SUB, group:ISSUER:NAME, service:ISSUER:CLIENT_ID "
            "or pipeline:NAME"
        )
    return _issuer_member_problem(file.issuers.get(issuer_name), kind, issuer_name, value)


def _issuer_member_problem(issuer: Issuer | None, kind: str, name: str, value: str) -> str:
    if not isinstance(issuer, PeopleIssuer):
        return f'names "{name}", which is not an issuer with `kind: people`'
    accounts = {account.client_id for account in issuer.service_accounts}
    if kind == "service" and value not in accounts:
        return f"names a client that is not among service_accounts of the issuer {name}; add it"
    return ""
