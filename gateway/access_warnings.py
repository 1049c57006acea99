"""What an access file may say, and most likely was not meant to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.access_file import PeopleIssuer
from service_chassis.permissions import BUILT_IN_ROLES, PERMISSIONS, covers, includes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.access_file import AccessFile, Binding, DenialEntry
    from gateway.pipeline_checks import Problem
    from studbook.positioned_yaml import Path

# What there is in a workspace, and what there is in each of these.
COLLECTIONS: Mapping[str, frozenset[str]] = {
    "experiments": frozenset({"runs"}),
    "datasets": frozenset({"versions"}),
    "models": frozenset({"aliases", "requests", "transitions", "versions"}),
    "policies": frozenset(),
    "webhooks": frozenset({"deliveries"}),
}


def access_warnings(file: AccessFile, now_s: float) -> Iterator[Problem]:
    """What is legal and suspicious in a checked file.

    Args:
        file: The file.
        now_s: The present time, in seconds since 1970.
    """
    for index, binding in enumerate(file.bindings):
        place: Path = ("bindings", index)
        yield from _entry_warnings(file, place, binding, now_s)
        yield from _binding_warnings(file, place, binding, now_s)
    for index, denial in enumerate(file.denials):
        yield from _entry_warnings(file, ("denials", index), denial, now_s)
    yield from _unused(file)


def _entry_warnings(
    file: AccessFile, place: Path, entry: Binding | DenialEntry, now_s: float
) -> Iterator[Problem]:
    if entry.until_s <= now_s:
        yield (*place, "until"), "has passed, so this does nothing; remove the entry"
    for number, member in enumerate(entry.members):
        if text := _member_warning(file, member):
            yield (*place, "members", number), f'"{member}" {text}'
    for number, pattern in enumerate(entry.resources):
        if text := _pattern_warning(pattern):
            yield (*place, "resources", number), f'"{pattern}" {text}'


def _member_warning(file: AccessFile, member: str) -> str:
    kind, issuer_name, *rest = member.split(":", 2)
    issuer = file.issuers.get(issuer_name)
    if kind != "group" or not isinstance(issuer, PeopleIssuer):
        return ""
    if rest[0].startswith(issuer.groups_prefix):
        return ""
    return (
        f"is never anybody, because {issuer_name} counts only groups that begin with "
        f'"{issuer.groups_prefix}"'
    )


def _pattern_warning(pattern: str) -> str:
    segments = pattern.split("/")
    subtree = segments[-1] == "**"
    names = segments[:-1] if subtree else segments
    tops = [name for name in COLLECTIONS if _could_be(names, 2, name)]
    if len(names) > 2 and not tops:
        return f"covers nothing: in a workspace there are {', '.join(COLLECTIONS)}"
    if len(names) > 4:
        below = sorted({name for top in tops for name in COLLECTIONS[top]})
        if not any(_could_be(names, 4, name) for name in below):
            return f"covers nothing: in {segments[2]} there are {', '.join(below) or 'no others'}"
    if not subtree and len(names) in {2, 4}:
        return f'covers that alone and nothing in it; for all below write "{pattern}/**"'
    return ""


def _could_be(segments: list[str], index: int, name: str) -> bool:
    return len(segments) <= index or covers(segments[index], name)


def _binding_warnings(
    file: AccessFile, place: Path, binding: Binding, now_s: float
) -> Iterator[Problem]:
    held = BUILT_IN_ROLES.get(binding.role, frozenset(file.roles.get(binding.role, ())))
    for number, member in enumerate(binding.members):
        if member.startswith("group:") and held >= PERMISSIONS and "**" in binding.resources:
            yield (
                (*place, "members", number),
                (
                    f'"{member}" may do everything everywhere, so whoever keeps that group decides '
                    "who may; name persons, or fewer resources"
                ),
            )
        for pattern in binding.resources:
            if binding.until_s > now_s and _is_taken_away(file, member, pattern, held, now_s):
                yield (
                    (*place, "members", number),
                    f'"{member}" gains nothing on {pattern}, because a denial takes all of it away',
                )


def _is_taken_away(
    file: AccessFile, member: str, pattern: str, held: frozenset[str], now_s: float
) -> bool:
    return any(
        denial.until_s > now_s
        and member in denial.members
        and held <= (PERMISSIONS if denial.permissions is None else set(denial.permissions))
        and any(includes(denied, pattern) for denied in denial.resources)
        for denial in file.denials
    )


def _unused(file: AccessFile) -> Iterator[Problem]:
    bound = {member for binding in file.bindings for member in binding.members}
    for name in file.pipelines:
        if f"pipeline:{name}" not in bound:
            yield ("pipelines", name), "is bound to no role, so its jobs may do nothing"
    given = {binding.role for binding in file.bindings}
    for name in file.roles:
        if name not in given:
            yield ("roles", name), "is bound to nobody"
    for name, issuer in file.issuers.items():
        if not isinstance(issuer, PeopleIssuer):
            continue
        for index, account in enumerate(issuer.service_accounts):
            if f"service:{name}:{account.client_id}" not in bound:
                yield (
                    ("issuers", name, "service_accounts", index),
                    f'"{account.client_id}" is bound to no role, so it may do nothing',
                )
