"""Feeding until told to end, and rebuilding: the loops around `ashore.opensearch.feed.Feeder`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from ashore.ledger import feeder, feeds, records
from ashore.ledger.errors import LeaseLost
from ashore.ledger.feeds import Feed
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.declare import Search
from ashore.opensearch.errors import NotFed, SearchUnreachable
from ashore.opensearch.feed import FORGETS_SECONDS, Feeder, Step
from ashore.opensearch.rebuild import Rebuild, count_rows
from ashore.pipeline.index import all_tables, search_index
from ashore.pipeline.project import Project, chosen_entities
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import CannotConnect, ConnectionLost, translated
from ashore.postgres.items import prepare

_IDLE_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 15.0
_AWAY_SECONDS: Final = 300.0
"""For so long PostgreSQL may be away."""
_TELL_SECONDS: Final = 5.0
_MOST_REFUSED: Final = 1_000
"""Refused entries with which a rebuild ends: a mapping or a function is wrong, not a document."""
_MOST_WAITING: Final = 5_000
"""Entries that wait; beyond that a rebuild puts no more into the outbox."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """What the feed has done so far, and what it has not: `refused` entries wait for a correction."""

    indexed: int
    deleted: int
    waiting: int
    refused: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildPlan:
    """What a rebuild would do: how many rows there are, about, and which index their documents go to."""

    entity: str
    rows: int
    index: str
    takes_over_from: str | None
    goes_on_after_rows: int | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What became of a rebuild. While documents are `refused` it is not complete, and no index takes over."""

    entity: str
    rows: int
    index: str
    refused: int
    is_complete: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def run_feed(project: Project, stop: threading.Event, *, until_empty: bool = False, tell: Tell = lambda _: None) -> Fed:
    """Feed until `stop` is set, or until nothing waits but what is refused. Several may run; one feeds.

    Raises:
        IndexMissing, SearchForbidden, SearchNotConfigured: What waits stays in the outbox.
        CannotConnect, ConnectionLost: PostgreSQL was away for five minutes.
    """
    away_since: float | None = None
    while True:
        try:
            with _feeder(project) as one:
                return _feed(one, stop, until_empty=until_empty, tell=tell)
        except (CannotConnect, ConnectionLost) as error:
            now = time.monotonic()
            away_since = now if away_since is None or now - away_since > 2 * _AWAY_SECONDS else away_since
            if now - away_since > _AWAY_SECONDS or until_empty:
                raise
            tell(error.what())
            stop.wait(1.0)


def plan_rebuild(project: Project, entities: Sequence[str]) -> list[RebuildPlan]:
    """What a rebuild of these entities (by default all that are fed) would do; changes nothing.

    Raises:
        NotFed: Ashore does not feed one of them.
    """
    with connect(project.dsn, application_name="ashore index", autocommit=True) as conn, translated("planning"):
        ensure_ledger(conn)
        tables = all_tables(conn, project)
        plans = []
        for feed, search in _fed(conn, project, entities):
            plans.append(
                RebuildPlan(
                    entity=feed.entity,
                    rows=count_rows(conn, project.plan.entities[feed.entity], tables),
                    index=search.index,
                    takes_over_from=None if search.index == feed.index_name else feed.index_name,
                    goes_on_after_rows=feed.rebuild_rows if _is_under_way(feed, search) else None,
                )
            )
        return plans


def rebuild(
    project: Project,
    entities: Sequence[str],
    stop: threading.Event,
    *,
    restart: bool = False,
    tell: Tell = lambda _: None,
) -> list[Rebuilt]:
    """Make every document anew, of some entities or all that are fed, and feed meanwhile where nobody else does.

    Where the declaration names another index than the one that is fed, both are fed until the rebuild is complete, and
    only the declared one from then on. Killed, or stopped, it goes on where it was.

    Raises:
        NotFed, IndexMissing, SearchForbidden, SearchUnreachable: What was begun goes on with the next call.
    """
    with _feeder(project) as one:
        return [
            _Rebuilding(one=one, feed=feed, search=search, stop=stop, tell=tell).run(restart=restart)
            for feed, search in _fed(one.conn, project, entities)
        ]


@contextmanager
def _feeder(project: Project) -> Iterator[Feeder]:
    index = search_index(project)
    with connect(project.dsn, application_name="ashore index", autocommit=True) as conn, translated("feeding"):
        ensure_ledger(conn)
        prepare(conn)
        names = {name for feed in feeds.feeds(conn, project.plan.name).values() for name in feed.indexes}
        names |= {entity.search.index for entity in project.plan.entities.values() if entity.search is not None}
        seconds = [index.gc_deletes_seconds(name) for name in sorted(names) if index.is_there(name)]
        one = Feeder(
            conn=conn,
            plan=project.plan,
            tables=all_tables(conn, project),
            index=index,
            forgets_seconds=min(seconds, default=FORGETS_SECONDS),
        )
        try:
            yield one
        finally:
            one.leave()


def _feed(one: Feeder, stop: threading.Event, *, until_empty: bool, tell: Tell) -> Fed:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        step, trouble = _step(one)
        if trouble is not None:
            tell(f"{trouble}; trying again in {pause:.1f} s")
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        elif step.entries:
            pause = _FIRST_PAUSE_SECONDS
        else:
            found = fed_so_far(one.conn, one.plan.name)
            if until_empty and found.waiting == 0:
                return found
            stop.wait(_IDLE_SECONDS)
        if stop.is_set():
            return fed_so_far(one.conn, one.plan.name)


def _step(one: Feeder) -> tuple[Step, str | None]:
    """One step; and why it has to be tried again later, where it has to be."""
    try:
        step = one.step()
    except LeaseLost:
        return Step(is_owner=False), None
    except SearchUnreachable as error:
        return Step(is_owner=True), error.reason
    return step, step.waits


@dataclass(slots=True, kw_only=True)
class _Rebuilding:
    """One entity's rebuild, with the feeder that feeds beside it where nobody else does."""

    one: Feeder
    feed: Feed
    search: Search
    stop: threading.Event
    tell: Tell
    pause: float = _FIRST_PAUSE_SECONDS
    told_at: float = 0.0

    def run(self, *, restart: bool) -> Rebuilt:
        conn, source = self.one.conn, self.one.plan.name
        reading = self._begin(restart=restart)
        while True:
            now = self._now(reading.began)
            every, waiting = feeds.rebuild_left(conn, source, now) if now.rebuild_is_read else (0, 1)
            if waiting == 0:
                return self._ended(now, every, is_complete=every == 0 and feeds.end_rebuild(conn, source, now))
            if self.stop.is_set() or fed_so_far(conn, source).refused >= _MOST_REFUSED:
                return self._ended(now, every - waiting if now.rebuild_is_read else 0, is_complete=False)
            if not now.rebuild_is_read and fed_so_far(conn, source).waiting < _MOST_WAITING:
                reading.step()
            self._feed(now)

    def _begin(self, *, restart: bool) -> Rebuild:
        one, source, name = self.one, self.one.plan.name, self.feed.entity
        one.index.assert_there(self.search.index)
        if restart or not _is_under_way(self.feed, self.search):
            with one.conn.transaction():
                feeds.begin_rebuild(one.conn, source, name, self.search.index)
                records.audit(one.conn, "index rebuild", {"source": source, "entity": name, "index": self.search.index})
        found = feeds.feeds(one.conn, source).get(name)
        if found is None or found.rebuild_began_at is None:
            raise NotFed(entities=(name,))
        entity = one.plan.entities[name]
        return Rebuild(conn=one.conn, source=source, entity=entity, tables=one.tables, began=found.rebuild_began_at)

    def _now(self, began: datetime) -> Feed:
        found = feeds.feeds(self.one.conn, self.one.plan.name).get(self.feed.entity)
        if found is None or found.rebuild_began_at != began:
            raise NotFed(entities=(self.feed.entity,))
        return found

    def _feed(self, now: Feed) -> None:
        step, trouble = _step(self.one)
        if trouble is not None or time.monotonic() - self.told_at > _TELL_SECONDS:
            self.told_at = time.monotonic()
            self.tell(f"{now.entity}: {now.rebuild_rows:,} rows read{'' if trouble is None else f'; {trouble}'}")
        if trouble is not None:
            self.stop.wait(self.pause)
            self.pause = min(2 * self.pause, _LONGEST_PAUSE_SECONDS)
        else:
            self.pause = _FIRST_PAUSE_SECONDS
            if not step.entries:
                self.stop.wait(0.05)

    def _ended(self, now: Feed, refused: int, *, is_complete: bool) -> Rebuilt:
        return Rebuilt(
            entity=now.entity,
            rows=now.rebuild_rows,
            index=self.search.index,
            refused=refused,
            is_complete=is_complete,
        )


def fed_so_far(conn: Conn, source: str) -> Fed:
    """What the ledger says of the feed."""
    found = feeder.standing(conn, source)
    return Fed(
        indexed=found.indexed, deleted=found.deleted, waiting=found.entries - found.refused, refused=found.refused
    )  # fmt: skip


def _is_under_way(feed: Feed, search: Search) -> bool:
    """Whether an unfinished rebuild is of the index that is declared now."""
    return feed.rebuild_began_at is not None and search.index == (feed.next_index or feed.index_name)


def _fed(conn: Conn, project: Project, entities: Sequence[str]) -> list[tuple[Feed, Search]]:
    on = feeds.feeds(conn, project.plan.name)
    names = chosen_entities(project.plan, entities) if entities else tuple(on)
    found = []
    for name in names:
        search = project.plan.entities[name].search if name in project.plan.entities else None
        if name not in on or search is None:
            raise NotFed(entities=(name,))
        found.append((on[name], search))
    if not found:
        raise NotFed(entities=tuple(project.plan.entities))
    return found
