"""Who watches is told each change once, however often he is cut off; on both databases."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_service.alias_names import AliasName
from registry_service.aliases import delete_alias, set_alias
from registry_service.records import Stage
from registry_service.registry_database import LEDGER_CHANNEL, RegistryDatabase
from registry_service.watch_changes import ACTIONS, AliasMove, StageMove, read_change
from registry_service.watch_feed import Cursor, Feed
from registry_service.watch_interest import Interest
from registry_service.watch_state import read_state
from service_chassis.errors import StudbookError
from service_chassis.notifications import listen
from tests.patience import PATIENCE_S
from tests.store.registry.seeding import GRACE, MODEL, Clock, Stud

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from registry_service.store import RegistryStore
    from registry_service.watch_changes import Change
    from service_chassis.database import Database

OTHER = "workspaces/main/models/other"
EVERYTHING = Interest("main")


def told_by_ledger(stud: Stud, interest: Interest, after: int) -> list[int]:
    """Positions of what has to be told, by the whole ledger."""

    def work(store: RegistryStore) -> list[int]:
        entries = [e for e in store.ledger.entries(after) if e.action in ACTIONS]
        changes = [read_change(entry) for entry in entries if entry.outcome == 1]
        return [change.position for change in changes if change and interest.wants(change)]

    return stud.read(work)


class World:
    """A registry with two models, which random steps change, and what watches should know."""

    def __init__(self, stud: Stud) -> None:
        self.stud = stud
        for model in (MODEL, OTHER):
            stud.create_model(model)
            for number in ("1.0.0", "1.1.0", "1.2.0"):
                stud.register(number, model=model)

    def step(self, model: str, number: str, act: str) -> None:
        """One change, or a refusal, which tells nobody anything."""
        try:
            if act == "alias":
                name = AliasName(model, "champion")
                version = f"{model}/versions/{number}"
                self.stud.write(
                    lambda store: set_alias(
                        store, GRACE, name, version, reason="", etag="", validate_only=False
                    )
                )
            elif act == "no alias":
                name = AliasName(model, "champion")
                self.stud.write(
                    lambda store: delete_alias(
                        store, GRACE, name, reason="", etag="", validate_only=False
                    )
                )
            else:
                self.stud.move(number, Stage[act], model=model)
        except StudbookError:
            pass


class Known:
    """What a watcher knows of the versions' stages and of aliases, from what it was told."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self.aliases: dict[str, str] = {}

    def begin(self, stud: Stud, interest: Interest) -> Cursor:
        state = stud.read(lambda store: read_state(store, GRACE, interest))
        self.stages = {standing.version: standing.stage for standing in state.versions}
        self.aliases = {
            f"{standing.model}/aliases/{standing.alias}": standing.version
            for standing in state.aliases
        }
        return Cursor(state.position, state.mark)

    def hear(self, change: Change) -> None:
        match change.move:
            case StageMove(version=version, from_stage=before, to_stage=after):
                # A change that was missed, or came twice, shows here.
                assert self.stages.get(version) == before
                if after is None:
                    del self.stages[version]
                else:
                    self.stages[version] = after
            case AliasMove(name=name, from_version=former, to_version=to):
                assert self.aliases.get(name, "") == former
                self.aliases[name] = to


STEPS = st.tuples(
    st.sampled_from([MODEL, OTHER]),
    st.sampled_from(["1.0.0", "1.1.0", "1.2.0"]),
    st.sampled_from(["STAGING", "PRODUCTION", "ARCHIVED", "alias", "no alias"]),
)
# Between steps the feed looks, the watcher reads some, or is cut off and resumes.
WATCHER = st.sampled_from(["look", "read", "cut", "wait"])


class Watcher:
    """Somebody who watches through feeds that come and go, and remembers what he heard."""

    def __init__(self, stud: Stud, interest: Interest) -> None:
        self._stud = stud
        self._database = RegistryDatabase(stud.database, stud.clock)
        self._interest = interest
        self._feed = self._new_feed()
        self.known = Known()
        self.cursor = self.begun = self.known.begin(stud, interest)
        self.heard: list[int] = []

    def _new_feed(self) -> Feed:
        return Feed(self._database, poll_s=3600, most=10)

    async def look(self) -> None:
        await self._feed._catch_up()

    async def cut(self) -> None:
        """Go on in another process, which knows nothing but the ledger."""
        self._feed = self._new_feed()
        await self._feed.start()

    async def read(self) -> None:
        await self.look()
        while True:
            changes, self.cursor = await self._feed.after(self.cursor, self._interest)
            for change in changes:
                self.heard.append(change.position)
                if self._interest.everything:
                    self.known.hear(change)
            if self.cursor.position >= self._feed.head.position:
                return


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.tuples(STEPS, WATCHER), max_size=30),
    interest=st.sampled_from(
        [
            EVERYTHING,
            Interest("main", "wine-cultivar"),
            Interest("main", "*her"),
            Interest("main", stages=frozenset({Stage.PRODUCTION})),
            Interest("main", "other", aliases=("cha*",)),
        ]
    ),
    recent=st.sampled_from([1, 3, 4096]),
    batch=st.sampled_from([1, 2, 500]),
)
def test_resuming_leaves_no_gap_and_repeats_nothing(
    database_factory: Callable[[str], Database],
    monkeypatch: pytest.MonkeyPatch,
    plan: list[Any],
    interest: Interest,
    recent: int,
    batch: int,
) -> None:
    monkeypatch.setattr("registry_service.watch_feed._RECENT", recent)
    monkeypatch.setattr("registry_service.watch_feed._BATCH", batch)
    world = _shared_world(database_factory)
    stud = world.stud

    async def test() -> None:
        watcher = Watcher(stud, interest)
        await watcher.cut()
        acts = {"look": watcher.look, "read": watcher.read, "cut": watcher.cut}
        for (model, number, act), then in plan:
            world.step(model, number, act)
            if then in acts:
                await acts[then]()
        await watcher.read()
        assert watcher.heard == told_by_ledger(stud, interest, watcher.begun.position)
        if interest.everything:
            again = Known()
            again.begin(stud, interest)
            assert watcher.known.stages == again.stages
            named = {name: to for name, to in watcher.known.aliases.items() if to}
            assert named == again.aliases

    asyncio.run(test())


_WORLDS: WeakKeyDictionary[Callable[[str], Database], World] = WeakKeyDictionary()


def _shared_world(database_factory: Callable[[str], Database]) -> World:
    """One registry for all examples of a test: watches begin in the midst of its life."""
    if database_factory not in _WORLDS:
        _WORLDS[database_factory] = World(Stud(database_factory("registry_service"), Clock()))
    return _WORLDS[database_factory]


def test_a_word_from_another_process_is_heard_and_one_that_is_lost_is_made_up_for(
    database_factory: Callable[[str], Database],
) -> None:
    """What one process appends, the feed of another tells: by notification, and without it."""
    database = database_factory("registry_service")
    stud = Stud(database, Clock())
    World(stud)

    async def test(poll_s: float, *, listening: bool) -> None:
        here = RegistryDatabase(database, stud.clock)
        elsewhere = RegistryDatabase(database, stud.clock)
        feed = Feed(here, poll_s=poll_s, most=10)
        await feed.start()
        works = [asyncio.create_task(feed.run())]
        if listening:
            heard = asyncio.Event()

            def tell() -> None:
                heard.set()
                feed.look()

            works.append(asyncio.create_task(listen(database.engine, LEDGER_CHANNEL, tell)))
            async with asyncio.timeout(20):
                await heard.wait()
        with feed.subscribe(EVERYTHING) as subscription:
            name = AliasName(MODEL, "champion")
            for number in ("1.0.0", "1.1.0"):
                subscription.begin_reading()
                version = f"{MODEL}/versions/{number}"
                await elsewhere.write(
                    lambda store, version=version: set_alias(  # type: ignore[misc]
                        store, GRACE, name, version, reason="", etag="", validate_only=False
                    )
                )
                assert await subscription.wait(PATIENCE_S)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    asyncio.run(test(0.05, listening=False))
    if not database.is_sqlite:
        asyncio.run(test(3600, listening=True))


def test_listening_goes_on_after_the_connection_is_cut(
    database_factory: Callable[[str], Database],
) -> None:
    database = database_factory("registry_service")
    if database.is_sqlite:
        return

    async def test() -> None:
        heard = asyncio.Event()
        listening = asyncio.create_task(listen(database.engine, LEDGER_CHANNEL, heard.set))
        for _ in range(2):
            async with asyncio.timeout(20):
                await heard.wait()
            heard.clear()
            await database.write(
                lambda connection: connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'studbook-listen' "
                    "AND datname = current_database()"
                ).all()
            )
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    asyncio.run(test())


def test_a_state_and_the_changes_after_it_are_one_story(stud: Stud) -> None:
    """While others promote, state plus changes is always what the ledger says."""
    world = World(stud)
    dice = random.Random(7)  # noqa: S311 - no secret depends on it

    async def test() -> None:
        database = RegistryDatabase(stud.database, stud.clock)
        feed = Feed(database, poll_s=0.01, most=10)
        await feed.start()
        running = asyncio.create_task(feed.run())
        busy = True

        def promote() -> None:
            for _ in range(60):
                world.step(
                    dice.choice([MODEL, OTHER]),
                    dice.choice(["1.0.0", "1.1.0", "1.2.0"]),
                    dice.choice(["STAGING", "PRODUCTION", "ARCHIVED", "alias"]),
                )

        async def watch() -> None:
            while busy:
                known = Known()
                with feed.subscribe(EVERYTHING) as subscription:
                    cursor = await asyncio.to_thread(known.begin, stud, EVERYTHING)
                    for _ in range(3):
                        subscription.begin_reading()
                        changes, cursor = await feed.after(cursor, EVERYTHING)
                        for change in changes:
                            known.hear(change)
                        await subscription.wait(0.02)

        watchers = [asyncio.create_task(watch()) for _ in range(4)]
        await asyncio.to_thread(promote)
        busy = False
        await asyncio.gather(*watchers)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(test())
