"""What was really loaded: reports of instances, beside the stage that says what should be.

Reports are evidence, not history: of each instance the last is kept, for a limited time and in
limited number, and none is entered in the ledger, which those who load models do not write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.loaded_records import LoadedReport, Match
from registry_service.records import Stage
from registry_service.resolution import READ
from service_chassis.errors import not_found

if TYPE_CHECKING:
    from registry_service.loaded_records import Retention
    from registry_service.names import VersionName
    from registry_service.records import Version
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller

LONGEST_INSTANCE = 128


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as kept, and the name of the version in Production, empty when none is."""

    report: LoadedReport
    production: str


@dataclass(frozen=True, slots=True)
class Loading:
    """What an instance says. `load_us` is None for now."""

    version: VersionName
    digest: str
    instance: str
    load_us: int | None


def keep_report(
    store: RegistryStore, caller: Caller, loading: Loading, retention: Retention
) -> Reported:
    """Keep what an instance says it has loaded, and forget what is too old or too much.

    Raises:
        StudbookError: PERMISSION_MISSING, the same whether or not there is such a version, to a
            caller who may only be served and names what never was in Production; NOT_FOUND.
    """
    name = str(loading.version)
    version = store.versions.find(name)
    if version is None or not version.was_in_production:
        caller.require(READ, name)
    if version is None:
        raise not_found(name)
    now_us = store.now_us()
    report = LoadedReport(
        model_uid=version.model_uid,
        instance=loading.instance,
        version_uid=version.uid,
        version=version.name,
        digest=loading.digest,
        load_us=now_us if loading.load_us is None else min(loading.load_us, now_us),
        report_us=now_us,
        reporter=caller.principal,
        match=_match(version, loading.digest),
    )
    store.loaded.keep(report)
    store.loaded.forget(report, retention)
    production = store.versions.latest_in(version.model_uid, Stage.PRODUCTION)
    return Reported(report, production.name if production else "")


def _match(version: Version, digest: str) -> Match:
    if digest != version.digest:
        return Match.OTHER_BYTES
    return Match.PRODUCTION if version.stage is Stage.PRODUCTION else Match.OTHER_VERSION
