"""`ashore index`: feeding OpenSearch from PostgreSQL, once the feed that did so before is off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ashore.cutover import noting
from ashore.cutover.gates import Gate, assert_open
from ashore.ledger import crossing, feeder, feeds, loads, records
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.declare import Search
from ashore.opensearch.client import open_client
from ashore.opensearch.errors import IndexMissing, StillFeeding
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Project, chosen_entities
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.names import TableName

if TYPE_CHECKING:
    from ashore.opensearch.index import SearchIndex

_STATES: Final = ("writing", "retired")
_END_SECONDS: Final = 90.0
_LOCKS: Final = "SELECT set_config('lock_timeout', '10s', true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginPlan:
    """What would be fed to which index (entity → index), and what has to hold before."""

    indexes: Mapping[str, str]
    gates: tuple[Gate, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing stands in the way."""
        return all(gate.is_open for gate in self.gates)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"indexes": dict(self.indexes), "gates": [asdict(one) for one in self.gates], "is_open": self.is_open}


@dataclass(slots=True, kw_only=True)
class Feeding:
    """The commands over one connection in autocommit mode; made by `opened`."""

    conn: Conn
    project: Project
    entities: tuple[str, ...]
    tables: Mapping[str, TableName]

    @property
    def source(self) -> str:
        """The source's name."""
        return self.project.plan.name

    def plan_begin(self, old_feed: str | None) -> BeginPlan:
        """What has to hold before Ashore feeds; asks OpenSearch whether the indexes are there."""
        searches = self._searches()
        states = crossing.crossing_states(self.conn, self.source)
        found = {name: states[name].state if name in states else "declared" for name in self.entities}
        missing = [name for name in self.entities if name not in searches]
        gates = [
            Gate(
                name="state",
                is_open=set(found.values()) <= set(_STATES),
                found=", ".join(f"{name} is {state}" for name, state in found.items()),
                way="cut the writes over first: until then the stream feeds the index",
            ),
            Gate(
                name="declaration",
                is_open=not missing,
                found=f"no `search` in {', '.join(missing)}" if missing else "says what the documents are",
                way="declare `search=Search(…)`, or name the entities that have it",
            ),
            Gate(
                name="old feed",
                is_open=bool(old_feed),
                found=old_feed or "nothing was said",
                way="switch it off, and say how with --old-feed-off",
            ),
        ]
        index = search_index(self.project)
        gates += [_index_gate(index, name) for name in sorted({search.index for search in searches.values()})]
        return BeginPlan(indexes={name: search.index for name, search in searches.items()}, gates=tuple(gates))

    def begin(self, old_feed: str | None) -> list[str]:
        """Note what is written for the feed from now on; return the entities that were not fed before. Idempotent.

        Raises:
            GatesClosed, SearchError: Nothing was changed.
        """
        plan = self.plan_begin(old_feed)
        assert_open("feeding OpenSearch", plan.gates)
        new = []
        with self.conn.transaction():
            self.conn.execute(_LOCKS)
            states = loads.lock_states(self.conn, self.source, exclusively=True)
            for name, index in plan.indexes.items():
                if states[name].state not in _STATES:
                    assert_open("feeding OpenSearch", [Gate(name="state", is_open=False, found=states[name].state)])
                entity = self.project.plan.entities[name]
                is_written_back = states[name].state == "writing" and noting.are_installed(
                    self.conn, entity, self.tables
                )
                if feeds.begin(
                    self.conn,
                    self.source,
                    name,
                    index=index,
                    old_feed=old_feed or "",
                    notes_for_feed_only=not is_written_back,
                ):
                    new.append(name)
                    if not is_written_back:
                        noting.install(self.conn, self.source, entity, self.tables, to_write_back=False)
            detail = {"source": self.source, "entities": new, "indexes": dict(plan.indexes), "old_feed": old_feed}
            records.audit(self.conn, "index begin", detail)
        return new

    def end(self, *, sleep: Any = time.sleep) -> list[str]:
        """Feed no more; return the entities that were fed. No request for them is under way when it returns.

        Raises:
            StillFeeding: One may be; the feed is off all the same.
        """
        with self.conn.transaction():
            self.conn.execute(_LOCKS)
            loads.lock_states(self.conn, self.source, exclusively=True)
            fed = feeds.feeds(self.conn, self.source)
            ended, version = feeds.end(self.conn, self.source, self.entities)
            for name in ended:
                if fed[name].notes_for_feed_only and name in self.project.plan.entities:
                    noting.remove(self.conn, self.project.plan.entities[name], self.tables)
            records.audit(self.conn, "index end", {"source": self.source, "entities": ended})
        give_up_at = time.monotonic() + _END_SECONDS
        while self._is_busy(version):
            if time.monotonic() > give_up_at:
                raise StillFeeding(entities=self.entities, seconds=_END_SECONDS)
            sleep(0.1)
        return ended

    def retry(self) -> int:
        """Let documents that were refused be tried again; return how many entries."""
        return feeder.try_again(self.conn, self.source, self.entities)

    def _is_busy(self, version: int) -> bool:
        """Whether a request may be under way whose rows were read before the end."""
        found = feeder.standing(self.conn, self.source)
        return found.version == version and found.busy_until is not None and found.busy_until > found.now

    def _searches(self) -> dict[str, Search]:
        plan = self.project.plan
        return {name: search for name in self.entities if (search := plan.entities[name].search) is not None}


@contextmanager
def opened(project: Project, entities: Sequence[str]) -> Iterator[Feeding]:
    """The commands for some entities (by default all that have `search`), over a connection of their own.

    Raises:
        UnknownEntity, CannotConnect
    """
    searched = [name for name, entity in project.plan.entities.items() if entity.search is not None]
    names = chosen_entities(project.plan, entities or searched)
    with connect(project.dsn, application_name="ashore index", autocommit=True) as conn, translated("feeding"):
        ensure_ledger(conn)
        yield Feeding(conn=conn, project=project, entities=names, tables=all_tables(conn, project))


def search_index(project: Project) -> SearchIndex:
    """The OpenSearch of the settings; nothing is asked yet.

    Raises:
        SearchNotConfigured
    """
    search = project.settings.search
    client = open_client(search, project.settings.aws)
    from ashore.opensearch.index import SearchIndex  # noqa: PLC0415 (it needs an optional dependency, which is there)

    return SearchIndex(client=client, endpoint="" if search is None else search.endpoint)


def all_tables(conn: Conn, project: Project) -> dict[str, TableName]:
    """Full names of declared tables → where they are."""
    plan = project.plan
    return {name: table for entity in plan.entities.values() for name, table in tables_of(conn, entity).items()}


def _index_gate(index: SearchIndex, name: str) -> Gate:
    try:
        index.assert_there(name)
    except IndexMissing as error:
        return Gate(name=f"index {name}", is_open=False, found="is not there", way=error.hint())
    seconds = index.gc_deletes_seconds(name)
    return Gate(name=f"index {name}", is_open=True, found=f"is there, and remembers deletions for {seconds:g} s")
