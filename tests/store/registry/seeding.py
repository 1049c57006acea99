"""Callers, models and versions for the registry's store suite."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from registry_service.catalogue import create_model
from registry_service.names import parse_version_name
from registry_service.parents import ParentWish, find_parents
from registry_service.promotion import StageChange, change_stage
from registry_service.records import Cause, DatasetUse, File, Snapshot, Stage, Version
from registry_service.registration import Registration, register
from registry_service.rollback import rollback_target
from registry_service.store import RegistryStore
from registry_service.verification import conclude
from service_chassis.caller import Caller, Principal
from service_chassis.timestamps import now_us
from studbook.identity.v1 import principal_pb2
from studbook.registry.v1.lineage_pb2 import Lineage, LineageRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from registry_service.promotion import StageChanged
    from service_chassis.database import Database

T = TypeVar("T")

MODEL = "workspaces/main/models/wine-cultivar"
RUN = "workspaces/main/experiments/wine/runs/r1"
AUTHOR = principal_pb2.Principal(id="user:demo:author")
START_US = 1_770_000_000_000_000

ALL_GRANTS: Mapping[str, tuple[str, ...]] = {
    f"models.{act}": ("**",)
    for act in ("read", "serve", "write", "register", "delete", "transition", "promote")
} | {"ledger.read": ("**",), "runs.read": ("**",)}


def caller(name: str = "grace", **grants: tuple[str, ...]) -> Caller:
    """A caller; without grants one who may do everything, `models_read=...` gives some."""
    principal = Principal(id=f"user:demo:{name}", kind="user", display_name=name.title())
    given: Mapping[str, tuple[str, ...]] = {
        key.replace("_", "."): patterns for key, patterns in grants.items()
    }
    return Caller(principal, dict(given) or dict(ALL_GRANTS))


GRACE = caller("grace")


class Clock:
    """A clock that goes on by itself, and can be set back."""

    def __init__(self, start_us: int = START_US) -> None:
        self.us = start_us

    def __call__(self) -> int:
        self.us += 1000
        return self.us


def file(path: str, content: bytes = b"model") -> File:
    digest = hashlib.sha256(content).hexdigest()
    return File(path, digest, len(content), "application/octet-stream")


@dataclass
class Stud:
    """A registry's database, with what tests do to it in one line each."""

    database: Database
    clock: Callable[[], int] = now_us
    _reasons: itertools.count[int] = field(default_factory=itertools.count)

    def store(self, connection: object) -> RegistryStore:
        return RegistryStore(connection, self.clock)  # type: ignore[arg-type]

    def read(self, work: Callable[[RegistryStore], T]) -> T:
        return self.database.read_now(lambda connection: work(self.store(connection)))

    def write(self, work: Callable[[RegistryStore], T]) -> T:
        return self.database.write_now(lambda connection: work(self.store(connection)))

    def create_model(self, name: str = MODEL) -> None:
        self.write(lambda store: create_model(store, GRACE, name, description="", tags={}))

    def register(
        self,
        number: str,
        *,
        model: str = MODEL,
        verified: bool = True,
        content: bytes = b"model",
        tags: Mapping[str, str] | None = None,
        fault: str = "",
        datasets: tuple[DatasetUse, ...] = (),
        parents: tuple[str, ...] = (),
        lineage: Lineage | None = None,
    ) -> Version:
        files = (file("model.joblib", content),)
        name = parse_version_name(f"{model}/versions/{number}")
        registration = Registration(name, RUN, ("model.joblib",), f"number {number}", tags or {})
        wishes = [ParentWish("parents[0]", parent, "", "") for parent in parents]
        begun_from = self.read(lambda store: find_parents(store, wishes))
        recorded = lineage or Lineage(run=LineageRun(creator=AUTHOR))
        written = recorded.SerializeToString(deterministic=True)
        digest = hashlib.sha256(written).hexdigest()
        snapshot = Snapshot(written, digest, files, datasets, begun_from)
        version = self.write(lambda store: register(store, GRACE, registration, snapshot, files))
        if verified or fault:
            done = self.write(lambda store: conclude(store, version.name, fault))
            assert done is not None
            return done
        return version

    def move(
        self,
        number: str,
        stage: Stage,
        *,
        by: Caller = GRACE,
        model: str = MODEL,
        held: bool = True,
        etag: str = "",
        expected: str | None = None,
        reason: str = "",
    ) -> StageChanged:
        change = StageChange(
            f"{model}/versions/{number}",
            stage,
            reason=reason,
            etag=etag,
            expected_production=expected,
        )
        return self.write(lambda store: change_stage(store, by, change, run_is_held=held))

    def roll_back(self, to: str = "", *, by: Caller = GRACE, model: str = MODEL) -> StageChanged:
        def work(store: RegistryStore) -> StageChanged:
            name = f"{model}/versions/{to}" if to else ""
            target = rollback_target(store, by, model, name)
            change = StageChange(target, Stage.PRODUCTION, cause=Cause.ROLLBACK)
            return change_stage(store, by, change, run_is_held=False)

        return self.write(work)

    def version(self, number: str, model: str = MODEL) -> Version:
        found = self.read(lambda store: store.versions.find(f"{model}/versions/{number}"))
        assert found is not None
        return found

    def production(self, model: str = MODEL) -> str:
        """Number of the version in Production, empty without one."""
        found = self.read(lambda store: store.models.find(model))
        assert found is not None
        return found.production_version.rpartition("/")[2]
